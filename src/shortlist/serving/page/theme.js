// Before the first paint: the theme chosen here last time, or else the system's.
document.documentElement.dataset.theme = localStorage.getItem("shortlist.theme") ?? "system";
