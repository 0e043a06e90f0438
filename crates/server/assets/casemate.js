// Enhancements only: every page reads, and every form works, without this file.
"use strict";

// Keys. Each page may add its own with `casemate.keys`; forms and panels with `data-key` answer to theirs. Whoever does
// not want single keys turns them off, in the list that the footer opens.
(() => {
  const registered = {};
  window.casemate = { keys: (own) => Object.assign(registered, own) };
  const store = {
    get: (name) => {
      try {
        return localStorage.getItem(name);
      } catch {
        return null;
      }
    },
    set: (name, value) => {
      try {
        localStorage.setItem(name, value);
      } catch {
        // Without a place to keep it, it holds for this page.
      }
    },
  };
  let isOn = store.get("casemate.keys") !== "off";
  document.documentElement.classList.toggle("no-keys", !isOn);

  const help = document.getElementById("keys");
  const open = () => {
    if (help && !help.open) help.showModal();
  };
  for (const button of document.querySelectorAll("[data-opens=keys]")) {
    button.hidden = false;
    button.addEventListener("click", open);
  }
  const toggle = help?.querySelector("input[type=checkbox]");
  if (toggle) {
    toggle.checked = isOn;
    toggle.addEventListener("change", () => {
      isOn = toggle.checked;
      store.set("casemate.keys", isOn ? "on" : "off");
      document.documentElement.classList.toggle("no-keys", !isOn);
    });
  }

  const toSearch = () => {
    const box = document.querySelector("main input[type=search], .quick input");
    box?.focus();
    box?.select();
  };
  const act = (element) => {
    if (element.tagName === "DETAILS") {
      element.open = true;
      const empty = [...element.querySelectorAll("input:not([type=hidden]):not([type=radio]):not([type=checkbox])")];
      (empty.find((input) => !input.value) ?? element.querySelector("input"))?.focus();
    } else if (element.tagName === "FORM") {
      element.requestSubmit();
    } else {
      element.click();
    }
  };

  let going = 0;
  document.addEventListener("keydown", (event) => {
    if (!isOn || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const at = document.activeElement;
    if (/^(input|textarea|select)$/i.test(at?.tagName ?? "") && !/^(checkbox|radio)$/.test(at.type)) return;
    if (at?.isContentEditable || document.querySelector("dialog[open]")) return;
    const { key } = event;
    const wasGoing = Date.now() - going < 1500;
    going = 0;
    if (wasGoing) {
      const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
      if (link) {
        event.preventDefault();
        link.click();
      }
      return;
    }
    let found = registered[key];
    if (!found) {
      const element = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
      if (element) found = () => act(element);
    }
    if (key === "g") found = () => (going = Date.now());
    if (key === "?") found = open;
    if (key === "/" && !found) found = toSearch;
    if (!found) return;
    event.preventDefault();
    found();
  });

  // The name of whoever decides is asked for once in this browser.
  const names = () => document.querySelectorAll("input[name=by]");
  const known = store.get("casemate.name");
  for (const input of names()) {
    if (known && !input.value) input.value = known;
    input.addEventListener("input", () => {
      for (const other of names()) if (other !== input) other.value = input.value;
    });
    input.form?.addEventListener("submit", () => {
      if (input.value) store.set("casemate.name", input.value);
    });
  }
})();
