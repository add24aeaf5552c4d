// What stands below the address of an image: its picture, and a button that uploads a local file.

const CHUNK = 1 << 20; // bytes; one message above 10 MiB would close the kernel's connection
const MAX_IMAGE = 10_000_000;
const TYPES = ["image/jpeg", "image/png"];
const local = new Map(); // address after an upload -> object URL of the local picture

class ImageField {
  constructor(model, name, { node, input }) {
    this.model = model;
    this.name = name;
    this.input = input;
    this.thumb = h("img", { class: "lw-thumb", alt: "", referrerpolicy: "no-referrer", hidden: true });
    this.thumb.addEventListener("error", () => { this.thumb.hidden = true; });
    this.bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Upload" });
    this.told = h("span", { class: "lw-quiet", role: "status" });
    const label = node.querySelector(".widget-label")?.textContent ?? name;
    const file = h("input", { type: "file", accept: TYPES.join(","), "aria-label": `Choose a file: ${label}` });
    file.addEventListener("change", () => {
      const [chosen] = file.files;
      file.value = "";
      if (chosen) this.upload(chosen);
    });
    this.row = h("div", { class: "lw-image" }, this.thumb,
      h("span", { class: "lw-button" }, "Choose a file", file), this.bar, this.told);
    node.append(this.row);
  }

  close() {
    this.file = null;
    this.row.remove();
  }

  /** Show the picture of the address, from this machine where it came from here. */
  show() {
    const address = this.input.value.trim();
    const source = local.get(address) ?? address;
    if (this.source === source) return;
    this.source = source;
    this.thumb.hidden = !/^(https?|blob):/.test(source);
    if (this.thumb.hidden) this.thumb.removeAttribute("src");
    else this.thumb.src = source;
  }

  say(text, bad = false) {
    this.told.className = bad ? "lw-tone-bad" : "lw-quiet";
    say(this.told, text);
  }

  /** Check a local picture here, then send it in pieces; the kernel asks for each piece. */
  upload(file) {
    const trouble = !TYPES.includes(file.type) ? "Only JPEG and PNG pictures can be used."
      : file.size > MAX_IMAGE ? `The picture has ${(file.size / 1e6).toFixed(1)} MB; 10 MB is the most.`
      : file.size === 0 ? "The file is empty." : "";
    this.say(trouble || "Reading the file", Boolean(trouble));
    if (trouble) return;
    this.file = file;
    this.id = uid();
    this.bar.value = 0;
    this.bar.hidden = false;
    this.piece(0);
  }

  async piece(offset) {
    const { id, file } = this;
    const bytes = await file.slice(offset, offset + CHUNK).arrayBuffer();
    this.model.send({ type: "upload", field: this.name, id, offset, size: file.size }, undefined, [bytes]);
  }

  news({ id, stage, offset, text, url }) {
    if (!this.file || this.id !== id) return;
    this.say(text, stage === "error");
    if (stage === "more") {
      this.bar.value = offset / this.file.size;
      this.piece(offset);
    } else if (stage === "sending") {
      this.bar.removeAttribute("value");
    } else {
      this.bar.hidden = true;
      if (stage === "done") local.set(url, URL.createObjectURL(this.file));
      this.file = null;
      this.show();
    }
  }
}
