// The form's companion. The controls are ordinary ipywidgets; this adds what must not cost
// messages (counter, blank check, debounce), what stands beside them (problems, and the pictures
// of images.js) and what stands below (preflight, question, preview).

const PAUSE = 500; // milliseconds after the last key until an edit is committed
const IMAGES = ["start_image", "end_image"];
const BROKEN = "Must be text without broken emoji; remove the character that is shown as a box.";

export default {
  render({ model, el }) {
    const form = new Aid(model, el);
    return () => form.close();
  },
};

class Aid {
  constructor(model, el) {
    this.model = model;
    this.fields = {};
    this.undo = [];
    this.touched = new Set();
    this.tab = "json";
    this.draw(el);
    this.undo.push(
      follow(model, ["state"], () => this.show()),
      follow(model, ["preflight"], () => this.showPreflight()),
      hear(model, {
        upload: (news) => this.fields[news.field]?.image?.news(news),
        message: (news) => this.message(news.text, news.tone),
        ask: (news) => this.ask(news),
        done: (news) => this.done(news.click),
        load: () => this.loaded(),
      }),
    );
    this.find(el);
  }

  close() {
    this.watch?.disconnect();
    clearTimeout(this.timer);
    clearTimeout(this.release);
    clearTimeout(this.wait);
    this.undo.forEach((step) => step());
  }

  /** The controls are drawn in any order, before or after this: wait for them. */
  find(el) {
    const look = () => {
      const root = el.closest(".lw-form");
      if (!root) return false;
      this.root = root;
      for (const name of this.model.get("names")) {
        const node = root.querySelector(`:scope > .lw-field-${name}`);
        const ready = node?.querySelector("textarea, input, select, button");
        if (ready && !this.fields[name]) this.adopt(name, node);
      }
      const button = root.querySelector(":scope > .lw-generate");
      if (button && !this.button) this.adoptButton(button);
      return this.button && this.model.get("names").every((name) => this.fields[name]);
    };
    if (look()) return;
    const target = el.closest(".lw-form") ?? document.body;
    this.watch = new MutationObserver(() => {
      if (look()) this.watch.disconnect();
    });
    this.watch.observe(target, { childList: true, subtree: true });
  }

  adopt(name, node) {
    const input = node.querySelector("textarea, input, select");
    const note = h("div", { class: "lw-note", "aria-live": "polite", id: `lw-${uid()}` });
    const field = (this.fields[name] = { node, input, note });
    if (input) input.setAttribute("aria-describedby", note.id);
    const title = node.querySelector(".widget-label[title=null]");
    title?.removeAttribute("title"); // ipywidgets writes "null" for what has no tooltip
    const group = node.querySelector(".widget-toggle-button")?.parentElement;
    if (group) this.adoptToggles(field, group);
    if (input?.matches("textarea, input[type=text]")) this.adoptText(name, field);
    if (IMAGES.includes(name)) field.image = new ImageField(this.model, name, field);
    node.append(note);
    this.undo.push(() => note.remove(), () => field.image?.close());
    this.show();
  }

  adoptToggles(field, group) {
    field.group = group;
    group.classList.add("lw-toggles");
    group.setAttribute("role", "group");
    const label = field.node.querySelector(".widget-label");
    if (label) group.setAttribute("aria-label", label.textContent);
    const mark = () => {
      for (const button of group.children) {
        button.setAttribute("aria-pressed", String(button.classList.contains("mod-active")));
        const ratio = /^(\d+):(\d+)$/.exec(button.textContent.trim());
        if (!ratio) continue;
        const shape = Math.sqrt(Number(ratio[1]) / Number(ratio[2])); // all of the same area
        if (!button.classList.contains("lw-ratio")) button.classList.add("lw-ratio");
        button.style.setProperty("--lw-w", `${(20 * shape).toFixed(1)}px`);
        button.style.setProperty("--lw-h", `${(20 / shape).toFixed(1)}px`);
      }
    };
    mark();
    const watch = new MutationObserver(mark);
    watch.observe(group, { subtree: true, attributeFilter: ["class"], childList: true });
    this.undo.push(() => watch.disconnect());
  }

  /** Commit a text once: 500 ms after the last key, on Ctrl+Enter, or when the field is left. */
  adoptText(name, field) {
    const { input } = field;
    if (name === "prompt") {
      field.count = h("span", { class: "lw-count" });
      field.node.append(field.count);
      this.undo.push(() => field.count.remove());
    }
    field.committed = input.value;
    const typed = () => {
      this.touched.add(name);
      this.count();
      clearTimeout(field.timer);
      field.timer = setTimeout(() => this.commit(field), PAUSE);
    };
    const key = (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.commit(field);
    };
    const left = () => this.commit(field);
    // Half an emoji cannot be put into a message at all, so it is refused here.
    const committed = (event) => {
      clearTimeout(field.timer);
      field.broken = /\p{Surrogate}/u.test(input.value);
      if (field.broken) event.stopPropagation();
      else field.committed = input.value;
      this.show();
    };
    input.addEventListener("input", typed);
    input.addEventListener("keydown", key, true);
    input.addEventListener("blur", left);
    input.addEventListener("change", committed, true);
    this.undo.push(() => {
      clearTimeout(field.timer);
      input.removeEventListener("input", typed);
      input.removeEventListener("keydown", key, true);
      input.removeEventListener("blur", left);
      input.removeEventListener("change", committed, true);
    });
  }

  commit(field) {
    clearTimeout(field.timer);
    if (field.input.value === field.committed) return;
    field.input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** The kernel filled the form in: what the controls show is what is committed. */
  loaded() {
    setTimeout(() => {
      for (const field of Object.values(this.fields)) {
        if (field.committed !== undefined) field.committed = field.input.value;
      }
      this.count();
      this.root?.scrollIntoView?.({ block: "nearest" });
    }, 50);
  }

  count() {
    const { prompt } = this.fields;
    if (!prompt) return;
    const length = [...prompt.input.value].length;
    say(prompt.count, length === 1 ? "1 character" : `${length} characters`);
    this.arm();
  }

  /** The button: off while a problem is open, while the prompt is blank, while a click is handled. */
  arm() {
    if (!this.button) return;
    const blank = !this.fields.prompt?.input.value.trim();
    const broken = Object.values(this.fields).some((field) => field.broken);
    this.button.disabled = blank || broken || Boolean(this.click) || !this.model.get("state").ready;
  }

  adoptButton(button) {
    this.button = button;
    // The click is taken before ipywidgets sees it, so that it carries its own id and what the
    // controls show at this moment: an edit still on its way cannot be left out of a paid request.
    const click = (event) => {
      event.stopImmediatePropagation();
      event.preventDefault();
      if (this.click || event.detail > 1) return; // the second click of a double click
      this.click = uid();
      this.arm();
      this.message("", "quiet");
      this.question.hidden = true;
      const busy = "Waiting for the kernel. The video is made when it is free.";
      this.wait = setTimeout(() => this.message(busy, "warn"), 4000);
      this.release = setTimeout(() => this.done(this.click), 60_000);
      this.model.send({ type: "generate", click: this.click, shown: this.shown() });
    };
    button.addEventListener("click", click, true);
    this.undo.push(() => button.removeEventListener("click", click, true));
    this.arm();
  }

  done(click) {
    if (click !== this.click) return;
    clearTimeout(this.release);
    clearTimeout(this.wait);
    this.click = null;
    this.arm();
  }

  shown() {
    const values = {};
    for (const [name, { input, group }] of Object.entries(this.fields)) {
      if (group) values[name] = [...group.children].findIndex((b) => b.classList.contains("mod-active"));
      else if (input.type === "checkbox") values[name] = input.checked;
      else if (input.tagName === "SELECT") values[name] = input.selectedIndex;
      else values[name] = input.value;
    }
    return values;
  }

  show() {
    const state = this.model.get("state");
    const notes = state.notes ?? {};
    for (const [name, field] of Object.entries(this.fields)) {
      const found = field.broken ? [["bad", BROKEN]] : (notes[name] ?? []);
      const fresh = name === "prompt" && !this.touched.has(name);
      field.note.replaceChildren(
        ...found.map(([tone, text]) => h("p", { class: `lw-tone-${fresh ? "quiet" : tone}` }, text)),
      );
      const bad = !fresh && found.some(([tone]) => tone === "bad");
      field.input?.setAttribute("aria-invalid", String(bad));
      if (field.image) {
        field.node.hidden = !state.images;
        field.image.show();
      }
    }
    this.showPreview(state.preview);
    this.count();
    this.arm();
  }

  draw(el) {
    el.classList.add("lw", "lw-aid");
    this.preflight = h("div", { class: "lw-preflight", role: "status" });
    this.question = h("div", { class: "lw-ask", role: "alertdialog", "aria-label": "Please confirm", tabindex: "-1", hidden: true });
    this.words = h("p", { class: "lw-message", role: "alert" });
    this.code = h("pre", { class: "lw-code", tabindex: "0", role: "tabpanel", "aria-label": "Preview" });
    this.tabs = ["json", "curl", "python"].map((name) =>
      h("button", {
        class: "lw-button", type: "button", role: "tab", "data-tab": name,
        onclick: () => { this.tab = name; this.showPreview(this.model.get("state").preview); },
      }, { json: "JSON", curl: "curl", python: "Python" }[name]));
    const copy = h("button", { class: "lw-button lw-copy", type: "button", onclick: () => this.copy(copy) }, "Copy");
    const preview = h("details", { class: "lw-preview" },
      h("summary", {}, "Preview what will be sent"),
      h("div", { class: "lw-tabs", role: "tablist" }, ...this.tabs, copy), this.code);
    preview.addEventListener("toggle", () => this.model.send({ type: "preview", open: preview.open }));
    el.append(this.words, this.question, this.preflight, preview);
    this.preview = preview;
  }

  async copy(button) {
    try {
      await navigator.clipboard.writeText(this.code.textContent);
      say(button, "Copied");
    } catch {
      getSelection().selectAllChildren(this.code);
      say(button, "Selected");
    }
    setTimeout(() => say(button, "Copy"), 1500);
  }

  showPreflight() {
    say(this.preflight, this.model.get("preflight"));
  }

  showPreview(preview) {
    for (const tab of this.tabs) tab.setAttribute("aria-selected", String(tab.dataset.tab === this.tab));
    say(this.code, preview?.[this.tab] ?? (this.preview.open ? "Solve the problems above first." : ""));
  }

  message(text, tone = "bad") {
    this.words.className = `lw-message lw-tone-${tone}`;
    say(this.words, text);
  }

  ask({ text, yes, click }) {
    const answer = (ok) => {
      this.question.hidden = true;
      this.model.send({ type: "answer", click, ok });
      this.button?.focus();
    };
    const agree = h("button", { class: "lw-button lw-main", type: "button", onclick: () => answer(true) }, yes);
    this.question.replaceChildren(
      h("p", {}, text),
      h("div", {}, agree, h("button", { class: "lw-button", type: "button", onclick: () => answer(false) }, "Cancel")),
    );
    this.question.hidden = !text;
    if (text) this.question.focus(); // not the button: a key that is pressed again must not pay
  }
}
