// The key is typed here, sent once, and cleared at once. It is never part of the widget's state.

export default {
  render({ model, el }) {
    const id = `lw-${uid()}`;
    const input = h("input", {
      id, type: "password", autocomplete: "off", spellcheck: "false", placeholder: "key_…",
    });
    const use = h("button", { class: "lw-button", type: "button" }, "Use key");
    const forget = h("button", { class: "lw-button", type: "button" }, "Forget key");
    const label = h("label", { for: id }, "API key");
    const set = h("span", { class: "lw-state lw-tone-good" }, "Key set for this session, never saved");
    const told = h("p", { class: "lw-key-told", role: "status", id: `${id}-told` });
    input.setAttribute("aria-describedby", told.id);
    el.classList.add("lw", "lw-key");
    el.append(h("div", { class: "lw-key-row" }, label, input, use, set, forget), told);

    const send = () => {
      const key = input.value.trim();
      input.value = "";
      say(told, "");
      if (key) model.send({ type: "key", key });
      else input.focus();
    };
    const clear = () => { input.value = ""; };
    use.addEventListener("click", send);
    forget.addEventListener("click", () => model.send({ type: "forget" }));
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") send();
      if (event.key === "Escape") clear();
    });
    const show = () => {
      const has = model.get("has_key");
      const reason = model.get("reason");
      for (const part of [label, input, use]) part.hidden = has;
      for (const part of [set, forget]) part.hidden = !has;
      input.disabled = use.disabled = Boolean(reason);
      told.className = "lw-key-told lw-quiet";
      say(told, reason);
    };
    const undo = [
      follow(model, ["has_key", "reason"], show),
      hear(model, {
        message: ({ text, tone }) => {
          told.className = `lw-key-told lw-tone-${tone}`;
          say(told, text);
        },
      }),
    ];
    return () => {
      clear();
      undo.forEach((step) => step());
    };
  },
};
