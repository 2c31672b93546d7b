// The viewer follows the light or dark setting of the system.
const page = document.getElementById("document");
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => {
  page.setAttribute("theme", dark.matches ? "dark" : "light");
  page.setAttribute("bg-color", dark.matches ? "#0e1116" : "#ffffff");
  page.setAttribute("text-color", dark.matches ? "#d7dde6" : "#1c2430");
  page.setAttribute("nav-bg-color", dark.matches ? "#151a21" : "#f5f7fa");
  page.setAttribute("primary-color", dark.matches ? "#6ea8fe" : "#1f5fd6");
};
dark.addEventListener("change", follow);
follow();
