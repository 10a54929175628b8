"use strict";
// The page works without this script, as one long page. The script makes tabs, switches, sorting, copies and downloads.
// What the reader has chosen is in the address: #part=2&kind=compute&sort=3.1.down
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;
  const selects = all("select[data-switch]");
  const links = all(".tabs a");
  const parts = all(".part");
  const said = document.querySelector(".said");
  const unsorted = new Map();

  function read() {
    const text = location.hash.slice(1);
    if (text.includes("=")) return Object.fromEntries(new URLSearchParams(text));
    // An address that names an element opens the part that has it.
    const target = text && document.getElementById(text);
    const part = target ? parts.findIndex((each) => each.contains(target)) : -1;
    return part < 0 ? {} : { part: String(part + 1) };
  }

  function choose(name, value, initial) {
    const state = { ...read(), [name]: value };
    if (value === initial) delete state[name];
    const text = new URLSearchParams(state).toString();
    // An empty address would scroll to the top.
    location.hash = text || "part=1";
    show();
  }

  function show() {
    const state = read();
    for (const select of selects) {
      const values = all("option", select).map((option) => option.value);
      const value = values.includes(state[select.dataset.switch]) ? state[select.dataset.switch] : values[0];
      select.value = value;
      state[select.dataset.switch] = value;
    }
    if (state.theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = state.theme;
    for (const block of all("[data-when]")) {
      const conditions = block.getAttributeNames().filter((name) => name.startsWith("data-when-"));
      block.hidden = !conditions.every((name) => {
        const wanted = state[name.slice("data-when-".length)];
        return wanted === undefined || wanted === block.getAttribute(name);
      });
    }
    const chosen = Math.min(Math.max(1, parseInt(state.part, 10) || 1), parts.length) - 1;
    links.forEach((link, index) => {
      link.setAttribute("aria-selected", String(index === chosen));
      link.tabIndex = index === chosen ? 0 : -1;
      parts[index].hidden = index !== chosen;
    });
    sortAll(state.sort || "");
  }

  function figure(text) {
    // A text with a figure in it, as "no difference found (± 2 %)", is none.
    const found = text.replace(/,/g, "").match(/^[★±<>≤≥~\s]*([-+]?(\d+(\.\d+)?|\.\d+)(e[-+]?\d+)?)/i);
    return found ? Number(found[1]) : NaN;
  }

  function sortAll(sort) {
    const [number, column, way] = sort.split(".");
    for (const table of all(".table")) {
      const body = table.querySelector("tbody");
      if (!unsorted.has(table)) unsorted.set(table, [...body.rows]);
      const heads = all("thead th", table);
      heads.forEach((head) => head.removeAttribute("aria-sort"));
      let rows = [...unsorted.get(table)];
      const index = Number(column);
      if (table.id === `table-${number}` && heads[index]) {
        const sign = way === "down" ? -1 : 1;
        const key = (row) => row.cells[index].textContent.trim();
        const figures = heads[index].classList.contains("figures");
        rows.sort((a, b) => {
          if (!figures) return sign * key(a).localeCompare(key(b), "en", { numeric: true });
          const [x, y] = [figure(key(a)), figure(key(b))];
          // Rows without a figure stay at the end either way.
          return isNaN(x) || isNaN(y) ? isNaN(x) - isNaN(y) : sign * (x - y);
        });
        heads[index].setAttribute("aria-sort", way === "down" ? "descending" : "ascending");
      }
      body.append(...rows);
    }
  }

  function cells(table) {
    return all("tr", table.querySelector("table")).map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
  }

  function toMarkdown(table) {
    const escape = (text) => text.replace(/([\\|*`<]|\](?=[([]))/g, "\\$1").replace(/\n/g, "<br>");
    const [head, ...rows] = cells(table).map((row) => row.map(escape));
    const rule = all("thead th", table).map((each) => (each.classList.contains("figures") ? "---:" : "---"));
    return [head, rule, ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n") + "\n";
  }

  function toCsv(table) {
    // A spreadsheet would compute a text that begins like a formula; a figure with its sign is none.
    const tame = (text) => (/^[=@+-]/.test(text) && !/^[+-]?[\d.]/.test(text) ? `'${text}` : text);
    const quote = (text) => (/[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
    return cells(table).map((row) => row.map(tame).map(quote).join(",")).join("\n") + "\n";
  }

  function tell(text) {
    said.textContent = text;
  }

  async function copy(text, button) {
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "unseen";
      document.body.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
      button.focus();
    }
    const before = button.innerHTML;
    button.textContent = done ? "Copied" : "Not copied";
    tell(button.textContent);
    setTimeout(() => { button.innerHTML = before; }, 1500);
  }

  function download(text, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    tell(`${name} is downloaded`);
  }

  function setUp() {
    all("[data-script]").forEach((each) => { each.hidden = false; });
    const list = document.querySelector(".tabs ul");
    if (list) {
      list.setAttribute("role", "tablist");
      list.setAttribute("aria-label", "Parts of this page");
      all("li", list).forEach((item) => item.setAttribute("role", "presentation"));
      links.forEach((link, index) => {
        link.setAttribute("role", "tab");
        link.setAttribute("aria-controls", parts[index].id);
        parts[index].setAttribute("role", "tabpanel");
        parts[index].tabIndex = 0;
        link.addEventListener("click", (event) => {
          event.preventDefault();
          choose("part", String(index + 1), "1");
        });
        link.addEventListener("keydown", (event) => {
          const steps = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: links.length - 1 };
          if (event.key === " ") choose("part", String(index + 1), "1");
          else if (event.key in steps) {
            const next = (steps[event.key] + links.length) % links.length;
            links[next].focus();
            choose("part", String(next + 1), "1");
          } else return;
          event.preventDefault();
        });
      });
    }
    for (const select of selects) {
      select.addEventListener("change", () => choose(select.dataset.switch, select.value, select.options[0].value));
    }
    for (const table of all(".table")) {
      const number = table.id.slice("table-".length);
      all("thead th", table).forEach((head, index) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = head.textContent;
        head.replaceChildren(button);
        button.addEventListener("click", () => {
          // Figures first from the largest, texts from A.
          const ways = head.classList.contains("figures") ? ["down", "up"] : ["up", "down"];
          const now = { ascending: "up", descending: "down" }[head.getAttribute("aria-sort")];
          const next = ways[ways.indexOf(now) + 1];
          choose("sort", next ? `${number}.${index}.${next}` : "", "");
        });
      });
      const title = table.querySelector("h3").textContent;
      const name = title.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 60).replace(/^-|-$/g, "") || "table";
      table.querySelector("[data-markdown]").addEventListener("click", (e) => copy(toMarkdown(table), e.currentTarget));
      table.querySelector("[data-csv]").addEventListener("click", () => download(toCsv(table), `${name}.csv`));
    }
    for (const button of all("[data-copy]")) {
      const code = button.parentElement.querySelector("code");
      button.addEventListener("click", () => copy(code.textContent, button));
    }
    // In the address the name of an element would replace what the reader has chosen.
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault();
      document.getElementById("main").focus();
    });
    addEventListener("hashchange", show);
    addEventListener("beforeprint", () => all("details").forEach((each) => { each.open = true; }));
    show();
  }

  setUp();
})();
