// Before the first paint: the colours that were chosen on this device, if any. Otherwise the system's.
(() => {
  try {
    const chosen = localStorage.getItem("surefill.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // storage is forbidden here: the system's colours it is
  }
})();
