"""A perceptron with one hidden layer, trained by gradient descent."""
