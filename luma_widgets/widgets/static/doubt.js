// What is known of an unknown outcome, and the four ways out of it: a short list, of which one is
// open at a time. Nothing that could pay or be undone only with trouble happens at the first press.

const WAYS = {
  check: { title: "Check credits" },
  task: {
    title: "I have a task id",
    text: "The service's own pages show it. Looking it up is free.",
    yes: "Follow this task",
  },
  none: {
    title: "Mark as not created",
    text: "Only if nothing was charged. The same request then counts as never sent.",
    yes: "Yes, mark it",
  },
  again: {
    title: "Submit again",
    text: "If the first video was created after all, both are charged: you may pay twice.",
    yes: "Yes, submit again",
  },
};

class Doubt {
  constructor(model, id, prompt) {
    this.model = model;
    this.id = id;
    this.busy = "";
    this.figures = Object.fromEntries(["Credits before", "After", "Now"].map((name) => [name, h("dd")]));
    this.ways = {};
    const list = h("ul", { class: "lw-ways" });
    for (const [name, words] of Object.entries(WAYS)) {
      this.ways[name] = this.draw(name, words);
      list.append(this.ways[name].node);
    }
    this.again = h("p", { class: "lw-quiet lw-again" });
    this.list = list;
    this.node = h("div", { class: "lw-doubt", role: "group", "aria-label": `What to do about: ${prompt.slice(0, 80)}` },
      h("dl", { class: "lw-figures", "aria-label": "Credits", "aria-live": "polite" },
        ...Object.entries(this.figures).map(([name, figure]) => h("div", { hidden: true }, h("dt", {}, name), figure))),
      list, this.again);
    // The notebook has shortcuts of its own for Enter, Escape and letters.
    this.node.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape" && this.open) this.toggle(this.open, true);
    });
  }

  draw(name, { title, text, yes }) {
    const way = { told: h("p", { class: "lw-way-told lw-tone-bad", role: "alert" }) };
    const id = `lw-${uid()}`;
    way.button = h("button", {
      class: "lw-button lw-way", type: "button",
      onclick: () => (yes ? this.toggle(name) : this.send(name)),
    }, title);
    way.node = h("li", {}, way.button);
    if (yes) {
      way.button.setAttribute("aria-expanded", "false");
      way.button.setAttribute("aria-controls", id);
      way.more = h("div", { class: "lw-way-more", id, hidden: true, tabindex: "-1", role: "group", "aria-label": title },
        h("p", {}, text), name === "task" ? this.drawField(way) : null,
        h("div", { class: "lw-way-foot" },
          h("button", { class: "lw-button lw-main", type: "button", onclick: () => this.send(name) }, yes),
          h("button", { class: "lw-button", type: "button", onclick: () => this.toggle(name, true) }, "Cancel")));
      way.node.append(way.more);
    }
    way.node.append(way.told);
    return way;
  }

  drawField(way) {
    const id = `lw-${uid()}`;
    way.told.id = `${id}-told`;
    way.field = h("input", {
      id, type: "text", autocomplete: "off", spellcheck: "false", maxlength: 200, "aria-describedby": way.told.id,
    });
    way.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.send("task");
    });
    return h("div", { class: "lw-way-field" }, h("label", { for: id }, "Task id"), way.field);
  }

  /** Open one way and close the others; `back` puts the focus on its button again. */
  toggle(name, back = false) {
    this.open = this.open === name ? "" : name;
    for (const [other, way] of Object.entries(this.ways)) {
      if (!way.more) continue;
      way.more.hidden = other !== this.open;
      way.button.setAttribute("aria-expanded", String(other === this.open));
      if (!this.busy) this.tell(way, "");
    }
    const { button, field, more } = this.ways[name];
    if (back) button.focus();
    else if (this.open) (field ?? more).focus(); // not the button: a key pressed again must not pay
  }

  send(name) {
    if (this.busy) return;
    const way = this.ways[name];
    const task_id = way.field?.value.trim();
    if (way.field && !task_id) {
      this.tell(way, "Enter the task id first.");
      way.field.focus();
      return;
    }
    this.wait(name);
    this.tell(way, name === "check" ? "Asking for the balance" : "Waiting for the kernel", "quiet");
    this.model.send({ type: "settle", id: this.id, way: name, task_id, confirmed: true });
  }

  answer({ way: name, now, text, error }) {
    const way = this.ways[name];
    this.wait("");
    this.tell(way, error ?? "");
    if (now) this.put("Now", now);
    if (text && this.open === name) this.toggle(name, way.node.contains(document.activeElement));
    if (error && way.field) way.field.focus();
  }

  wait(name) {
    this.busy = name;
    for (const button of this.node.querySelectorAll("button")) {
      button.setAttribute("aria-disabled", String(Boolean(name))); // keeps the focus, unlike disabled
    }
  }

  tell(way, text, tone = "bad") {
    way.told.className = `lw-way-told lw-tone-${tone}`;
    way.field?.setAttribute("aria-invalid", String(Boolean(text) && tone === "bad"));
    say(way.told, text);
  }

  fill({ before, after, ways, again, repeat }) {
    this.put("Credits before", before);
    this.put("After", after);
    this.list.hidden = !ways;
    this.ways.again.node.hidden = !repeat;
    say(this.again, again ? `Submitted again: ${again}.` : "");
  }

  put(name, amount) {
    this.figures[name].classList.toggle("lw-missing", !amount);
    say(this.figures[name], amount || "not known");
    this.figures[name].parentElement.hidden = false;
  }
}
