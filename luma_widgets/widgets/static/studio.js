// The first line of the studio.

export default {
  render({ model, el }) {
    const badge = h("span", { class: "lw-badge" });
    const banner = h("p", { class: "lw-banner" });
    const limits = h("p", { class: "lw-limits" });
    const notice = h("p", { class: "lw-notice lw-tone-warn", role: "status" });
    el.classList.add("lw", "lw-head");
    el.append(h("div", { class: "lw-title" }, h("h2", {}, "Luma Ray 2 studio"), badge), banner, limits, notice);
    const show = () => {
      const simulated = model.get("simulated");
      badge.classList.toggle("lw-simulated", simulated);
      say(badge, simulated ? "Simulator" : "Paid service");
      say(banner, model.get("banner"));
      say(limits, model.get("limits"));
      say(notice, model.get("notice"));
    };
    const undo = [
      follow(model, ["banner", "simulated", "limits", "notice"], show),
      hear(model, { message: ({ text }) => say(notice, text) }),
    ];
    return () => undo.forEach((step) => step());
  },
};
