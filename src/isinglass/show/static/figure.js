// @ts-check
// <ig-figure>: draws the Vega-Lite specification it holds, in the colours of light or dark, and again when that changes.

const dark = matchMedia("(prefers-color-scheme: dark)");
const MANY = 1500; // from so many marks on, a canvas is quicker than SVG nodes

class Figure extends HTMLElement {
  connectedCallback() {
    if (this.content) return;
    this.content = JSON.parse(this.querySelector("script")?.textContent ?? "{}");
    this.plot = document.createElement("div");
    this.plot.className = "ig-plot";
    this.append(this.plot);
    this.dataset.pictures = "PNG,SVG";
    this.pictures = { PNG: () => this.picture("png"), SVG: () => this.picture("svg") };
    dark.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.plot.clientWidth !== this.drawn && this.draw()).observe(this.plot);
  }

  async draw() {
    if (!this.plot.clientWidth) return; // hidden, or taken off the page: drawn once it is seen
    const { spec, configs } = this.content;
    const config = dark.matches ? configs.dark : configs.light;
    const count = spec.data?.values?.length ?? 0;
    // a page narrower than the axis labels allow for scrolls the figure instead of squeezing it
    this.drawn = this.plot.clientWidth;
    const sized = { width: this.drawn, autosize: { type: "fit-x", contains: "padding" }, ...spec };
    // @ts-ignore vegaEmbed comes from the bundle
    const shown = await window.vegaEmbed(this.plot, sized, {
      config,
      ast: true, // expressions are read, not compiled: a page may forbid eval
      actions: false,
      renderer: count > MANY ? "canvas" : "svg",
      tooltip: { theme: dark.matches ? "dark" : "light" },
    });
    this.view?.finalize();
    this.view = shown.view;
    this.dataset.ready = "true";
  }

  /** @param {"png" | "svg"} kind */
  async picture(kind) {
    if (kind === "svg") return new Blob([await this.view.toSVG()], { type: "image/svg+xml" });
    const canvas = await this.view.toCanvas(2);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }
}

if (!customElements.get("ig-figure")) customElements.define("ig-figure", Figure);
