// One line a task. Progress is drawn here from start and estimate; the kernel sends no ticks.

export default {
  render({ model, el }) {
    const lines = new Map(); // id -> its parts
    let ahead = null; // milliseconds that the kernel's clock is ahead of ours, once it has told us
    const count = h("span", { class: "lw-quiet", role: "status" });
    const list = h("ol");
    const told = h("p", { class: "lw-queue-told", role: "status" });
    const head = h("div", { class: "lw-queue-head" }, h("h3", { class: "lw-heading" }, "In progress"), count);
    el.classList.add("lw", "lw-card", "lw-queue");
    el.append(head, list, told);

    const line = (task) => {
      const parts = {
        prompt: h("div", { class: "lw-task-prompt" }),
        time: h("div", { class: "lw-task-time" }),
        fill: h("div"),
        state: h("span", { class: "lw-state" }),
        options: h("div"),
        error: h("p", { class: "lw-task-error lw-quiet" }),
        cancel: h("button", {
          class: "lw-button", type: "button",
          onclick: () => {
            parts.cancel.disabled = true;
            model.send({ type: "cancel", id: task.id });
          },
        }, "Cancel"),
      };
      parts.bar = h("div", { class: "lw-task-bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, parts.fill);
      parts.node = h("li", { class: "lw-task", "data-id": task.id }, parts.prompt, parts.time, parts.bar,
        h("div", { class: "lw-task-foot" }, parts.state, parts.options, parts.cancel), parts.error);
      return parts;
    };

    const fill = (parts, task) => {
      parts.task = task;
      say(parts.prompt, task.prompt);
      parts.prompt.title = task.prompt;
      parts.bar.setAttribute("aria-label", task.prompt);
      parts.state.className = `lw-state lw-tone-${task.tone}`;
      say(parts.state, task.word);
      say(parts.error, task.error);
      parts.options.replaceChildren(chips(task.options));
      parts.cancel.hidden = !task.cancel;
      if (task.cancel) parts.cancel.setAttribute("aria-label", `Cancel: ${task.prompt.slice(0, 60)}`);
      move(parts);
    };

    const move = (parts) => {
      const { started, estimate } = parts.task;
      if (!started || ahead === null) {
        say(parts.time, estimate ? `about ${duration(estimate)}` : "");
        return;
      }
      const passed = Math.max(0, (Date.now() + ahead - started) / 1000);
      const share = progress(passed, estimate);
      parts.fill.style.width = `${(share * 100).toFixed(1)}%`;
      parts.bar.setAttribute("aria-valuenow", String(Math.round(share * 100)));
      parts.node.classList.toggle("lw-late", Boolean(estimate) && passed > 1.5 * estimate + 5);
      say(parts.time, estimate ? `${duration(passed)} of about ${duration(estimate)}` : duration(passed));
    };

    const show = () => {
      const tasks = model.get("tasks");
      const ids = new Set(tasks.map((task) => task.id));
      for (const [id, parts] of lines) {
        if (ids.has(id)) continue;
        parts.node.remove();
        lines.delete(id);
      }
      tasks.forEach((task, place) => {
        if (!lines.has(task.id)) lines.set(task.id, line(task));
        const parts = lines.get(task.id);
        if (list.children[place] !== parts.node) list.insertBefore(parts.node, list.children[place] ?? null);
        fill(parts, task);
      });
      const all = tasks.length + model.get("more");
      say(count, all === 0 ? "Nothing is running." : all === 1 ? "1 video" : `${all} videos`);
      list.hidden = tasks.length === 0;
    };

    const undo = [
      follow(model, ["tasks", "more"], show),
      hear(model, {
        clock: ({ now }) => {
          ahead = now - Date.now();
          lines.forEach(move);
        },
        message: ({ text, tone }) => {
          told.className = `lw-queue-told lw-tone-${tone}`;
          say(told, text);
        },
      }),
    ];
    const timer = setInterval(() => lines.forEach(move), 1000);
    model.send({ type: "hello" });
    return () => {
      clearInterval(timer);
      undo.forEach((step) => step());
    };
  },
};

/** The share that is shown: honest up to the estimate, then ever slower, and never full. */
function progress(passed, estimate) {
  const expected = estimate || 60;
  if (passed <= expected) return (0.92 * passed) / expected;
  return 0.92 + 0.07 * (1 - Math.exp((expected - passed) / expected));
}
