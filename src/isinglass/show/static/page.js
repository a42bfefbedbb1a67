// @ts-check
// The contents rail: a menu at phone width, and a mark at the section being read.

const rail = document.querySelector(".ig-rail");
if (rail instanceof HTMLElement) {
  const button = rail.querySelector("button");
  const set = (/** @type {boolean} */ open) => {
    rail.dataset.menu = open ? "open" : "closed";
    button?.setAttribute("aria-expanded", String(open));
  };
  set(false);
  button?.addEventListener("click", () => set(rail.dataset.menu === "closed"));
  rail.addEventListener("keydown", (event) => event.key === "Escape" && set(false));
  const links = new Map([...rail.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  links.forEach((link) => link.addEventListener("click", () => set(false)));
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        links.forEach((link, id) => (id === entry.target.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
      }
    },
    { rootMargin: "-10% 0px -70% 0px" },
  );
  document.querySelectorAll("section[id]").forEach((section) => seen.observe(section));
}
