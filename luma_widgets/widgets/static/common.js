// Small helpers that stand before each widget's own code; there is no build step.

/** Make an element. Strings become text nodes, so nothing from outside is ever read as HTML. */
function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

/** Set text only when it differs, so that screen readers do not repeat themselves. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Call `work(value)` now and after each change of a synced value; returns the clean-up. */
function follow(model, names, work) {
  const events = names.map((name) => `change:${name}`).join(" ");
  model.on(events, work);
  work();
  return () => model.off(events, work);
}

/** Hear the kernel's custom messages; returns the clean-up. */
function hear(model, handlers) {
  const listen = (content, buffers) => handlers[content?.type]?.(content, buffers);
  model.on("msg:custom", listen);
  return () => model.off("msg:custom", listen);
}

/** Seconds as people read them: 42 s, 2 min 05 s. */
function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

function chips(texts) {
  return h("ul", { class: "lw-chips", "aria-label": "Options" }, ...texts.map((text) => h("li", {}, text)));
}

/** A random id; `crypto.randomUUID` exists only on https pages and on this machine. */
function uid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
