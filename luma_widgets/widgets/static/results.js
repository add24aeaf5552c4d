// Cards of finished submissions. A video's bytes come in pieces when it is played, become a Blob
// address of this page, and are never part of the widget's state.

const PAGE = 20;

export default {
  render({ model, el }) {
    const cards = new Map(); // id -> its parts
    const count = h("span", { class: "lw-quiet", role: "status" });
    const newer = h("button", { class: "lw-button", type: "button", onclick: () => turn(-PAGE) }, "Newer");
    const older = h("button", { class: "lw-button", type: "button", onclick: () => turn(PAGE) }, "Older");
    const pages = h("div", { class: "lw-results-pages" }, newer, older);
    const list = h("ul", { class: "lw-results-cards" });
    const empty = h("p", { class: "lw-results-empty" }, "Finished videos appear here, the newest first.");
    const told = h("p", { class: "lw-results-told", role: "alert" });
    const heading = h("h3", { class: "lw-heading", tabindex: "-1" }, "Results");
    el.classList.add("lw", "lw-card", "lw-results");
    el.append(
      h("div", { class: "lw-results-head" }, heading, count, pages),
      told, empty, list,
    );
    const tell = (text, tone) => {
      told.className = `lw-results-told lw-tone-${tone}`;
      say(told, text);
    };
    const turn = (by) => model.send({ type: "page", first: Math.max(0, model.get("first") + by) });

    const show = () => {
      const shown = model.get("cards");
      const ids = new Set(shown.map((card) => card.id));
      for (const [id, card] of cards) {
        if (ids.has(id)) continue;
        if (card.node.contains(document.activeElement)) heading.focus();
        card.close();
        cards.delete(id);
      }
      shown.forEach((data, place) => {
        if (!cards.has(data.id)) cards.set(data.id, new Card(model, data.id));
        const card = cards.get(data.id);
        if (list.children[place] !== card.node) list.insertBefore(card.node, list.children[place] ?? null);
        card.fill(data);
      });
      const total = model.get("total");
      const first = model.get("first");
      empty.hidden = total > 0;
      list.hidden = total === 0;
      pages.hidden = total <= PAGE;
      newer.disabled = first === 0;
      older.disabled = first + PAGE >= total;
      say(count, total === 0 ? "" : total <= PAGE ? `${total}` : `${first + 1} to ${first + shown.length} of ${total}`);
      hang();
    };
    const hang = () => {
      const posters = model.get("posters");
      cards.forEach((card, id) => card.hang(posters[id]));
    };
    const undo = [
      follow(model, ["cards", "total", "first"], show),
      follow(model, ["posters"], hang),
      hear(model, {
        video: (news, buffers) => cards.get(news.id)?.piece(news, buffers),
        message: ({ text }) => tell(text, "bad"),
        settled: (news) => {
          cards.get(news.id)?.doubt?.answer(news);
          if (news.text && !news.error) tell(news.text, "good");
        },
      }),
    ];
    return () => {
      undo.forEach((step) => step());
      cards.forEach((card) => card.close());
    };
  },
};

class Card {
  constructor(model, id) {
    this.model = model;
    this.id = id;
    this.pieces = null; // what has come of the video that is being fetched
    this.urls = new Map(); // number of a video -> its Blob address
    this.prompt = h("p", { class: "lw-result-prompt" });
    this.state = h("span", { class: "lw-state" });
    this.options = h("div");
    this.error = h("p", { class: "lw-result-error" });
    this.time = h("span", { class: "lw-quiet" });
    this.play = h("button", { class: "lw-play", type: "button", onclick: () => this.fetch(0) });
    this.loading = h("div", { class: "lw-loading", role: "status" });
    this.screen = h("div", { class: "lw-screen" }, this.play, this.loading);
    this.load = h("button", {
      class: "lw-button", type: "button", onclick: () => model.send({ type: "load", id }),
    }, "Load into form");
    this.numbers = h("div", { class: "lw-chips", hidden: true });
    this.node = h("li", { class: "lw-result", "data-id": id }, this.screen,
      h("div", { class: "lw-result-body" }, this.prompt, this.options, this.error, this.numbers),
      h("div", { class: "lw-result-foot" }, this.state, this.time, h("span", { class: "lw-break" }), this.load));
  }

  close() {
    this.video?.pause();
    this.urls.forEach((url) => URL.revokeObjectURL(url));
    this.node.remove();
  }

  fill(data) {
    this.data = data;
    this.node.dataset.state = data.state;
    say(this.prompt, data.prompt);
    this.prompt.title = data.prompt;
    this.state.className = `lw-state lw-tone-${data.tone}`;
    say(this.state, data.word);
    this.options.replaceChildren(chips(data.options));
    this.error.className = `lw-result-error lw-tone-${data.tone}`;
    say(this.error, data.error);
    this.showDoubt(data);
    const at = new Date(data.created).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    say(this.time, data.elapsed == null ? at : `${at}, took ${duration(data.elapsed)}`);
    this.play.setAttribute("aria-label", `Play: ${data.prompt.slice(0, 80)}`);
    this.load.setAttribute("aria-label", `Load into form: ${data.prompt.slice(0, 80)}`);
    this.play.hidden = data.videos === 0 || Boolean(this.video);
    this.numbers.hidden = data.videos < 2;
    if (this.numbers.childElementCount !== data.videos) {
      this.numbers.replaceChildren(...Array.from({ length: data.videos }, (_, number) =>
        h("button", { class: "lw-button", type: "button", onclick: () => this.fetch(number) }, `Video ${number + 1}`)));
    }
  }

  /** The ways out of an unknown outcome, for as long as it is one. */
  showDoubt(data) {
    if (data.doubt && !this.doubt) {
      this.doubt = new Doubt(this.model, this.id, data.prompt);
      this.error.after(this.doubt.node);
    } else if (!data.doubt && this.doubt) {
      const here = this.doubt.node.contains(document.activeElement);
      this.doubt.node.remove();
      this.doubt = null;
      if (here) this.load.focus();
    }
    this.doubt?.fill(data.doubt);
  }

  hang(poster) {
    if (!poster || this.poster || !poster.startsWith("data:image/jpeg;base64,")) return;
    this.poster = h("img", { class: "lw-poster", alt: "", src: poster });
    this.screen.prepend(this.poster);
  }

  fetch(number) {
    if (this.urls.has(number)) return this.start(number, this.urls.get(number));
    if (this.pieces?.number === number) return;
    this.pieces = { number, bytes: [], got: 0 };
    this.play.disabled = true;
    say(this.loading, "Waiting for the kernel");
    this.more();
  }

  more() {
    const { number, got } = this.pieces;
    this.model.send({ type: "video", id: this.id, number, offset: got });
  }

  piece({ number, offset, size, kind, error }, buffers) {
    const fetched = this.pieces;
    if (!fetched || fetched.number !== number || fetched.got !== offset) return;
    const bytes = buffers?.[0];
    if (error || !bytes?.byteLength) return this.fail(error ?? "The file is empty.");
    fetched.bytes.push(bytes);
    fetched.got += bytes.byteLength;
    if (fetched.got < size) {
      say(this.loading, `${Math.round((100 * fetched.got) / size)} %`);
      return this.more();
    }
    const url = URL.createObjectURL(new Blob(fetched.bytes, { type: kind }));
    this.pieces = null;
    this.urls.set(number, url);
    this.start(number, url);
  }

  fail(text) {
    this.pieces = null;
    this.play.disabled = false;
    say(this.loading, text);
  }

  start(number, url) {
    say(this.loading, "");
    this.video?.remove();
    this.video = h("video", { controls: true, playsinline: true, loop: this.data.options.includes("Loop"), "aria-label": this.data.prompt.slice(0, 120) });
    this.video.muted = true; // browsers may refuse to start a video with sound
    this.video.addEventListener("error", () => this.fail("This browser cannot play the file; it is in the results folder."));
    this.video.src = url;
    this.play.hidden = true;
    this.screen.append(this.video);
    this.video.play().catch(() => {}); // the controls are there to start it by hand
    this.video.focus();
  }
}
