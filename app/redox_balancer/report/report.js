"use strict";
(() => {
  const designs = [...document.querySelectorAll(".design")];
  const linked = () => {
    try {
      return document.getElementById(decodeURIComponent(location.hash.slice(1)));
    } catch {
      return null;
    }
  };
  /** Show one design, that of the address or the first; print shows all. */
  const show = (chosen) => {
    designs.forEach((design) => design.classList.toggle("shown", design === chosen));
    document.querySelectorAll(".heat a").forEach((link) => {
      if (decodeURIComponent(link.hash.slice(1)) === chosen?.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  };
  /** Say what a point of a Pareto front is. */
  const pick = (point) => {
    const figure = point.closest(".front");
    figure.querySelector("[aria-current]")?.removeAttribute("aria-current");
    point.setAttribute("aria-current", "true");
    figure.querySelector("output").textContent = point.getAttribute("aria-label");
  };
  const follow = () => {
    const target = linked(), design = target?.closest(".design");
    if (!design) return;
    show(design);
    if (target === design) design.focus({ preventScroll: true });
    if (target.matches(".front a")) pick(target);
    (target.closest("figure") ?? target).scrollIntoView();
  };
  document.documentElement.classList.add("scripted");
  show(designs[0]);
  follow();
  addEventListener("hashchange", follow);

  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  document.querySelector(".heat tbody")?.addEventListener("keydown", (event) => {
    const step = steps[event.key], cell = event.target.closest("td");
    if (!step || !cell) return;
    event.preventDefault();
    const row = cell.parentElement, rows = row.parentElement.rows;
    rows[row.sectionRowIndex + step[0]]?.cells[cell.cellIndex + step[1]]?.querySelector("a")?.focus();
  });

  document.querySelectorAll(".front").forEach((figure) => {
    const points = [...figure.querySelectorAll("a")];
    points.forEach((point, index) => {
      if (index) point.setAttribute("tabindex", "-1");
      point.addEventListener("click", (event) => {
        event.preventDefault();
        history.replaceState(null, "", point.getAttribute("href"));
        pick(point);
      });
      point.addEventListener("keydown", (event) => {
        const step = steps[event.key];
        if (!step) return;
        event.preventDefault();
        points[index + step[0] + step[1]]?.focus();
      });
    });
  });

  /* The drawn map is on the page once; a design adds the places of its enzymes. */
  const drawn = document.getElementById("escher");
  document.querySelectorAll("a.escher").forEach((link) => {
    link.hidden = false;
    link.addEventListener("click", () => {
      const [head, body] = JSON.parse(drawn.textContent), added = JSON.parse(link.dataset.added);
      for (const part of ["nodes", "reactions"]) Object.assign(body[part], added[part]);
      URL.revokeObjectURL(link.href);
      link.href = URL.createObjectURL(new Blob([JSON.stringify([head, body])], { type: "application/json" }));
    });
  });
})();
