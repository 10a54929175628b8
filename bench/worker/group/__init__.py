"""The group: the processes of a case that trains on several devices; to the conductor they are one worker."""
