// The status as it changes, as text.
const shown = document.getElementById("status");
new EventSource("/events").onmessage = (event) => {
  shown.textContent = JSON.stringify(JSON.parse(event.data), null, 2);
};
