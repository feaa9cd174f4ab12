// Asks for an API key where the shop wants one, and trades it for a cookie: a <video> cannot send a header.

let asking = null;

// Resolves when a session is open; everyone who asks meanwhile waits for the same answer.
export function askForKey() {
  asking ??= ask().finally(() => { asking = null; });
  return asking;
}

function ask() {
  const dialog = document.createElement("dialog");
  dialog.className = "key";
  dialog.setAttribute("aria-labelledby", "key-title");
  dialog.innerHTML = `
    <h2 id="key-title">This shop asks for a key</h2>
    <label for="key-text">API key with the scopes read and write-events</label>
    <input id="key-text" type="password" autocomplete="off" spellcheck="false" required aria-describedby="key-fault">
    <p id="key-fault" role="alert"></p>
    <button type="button" class="key-open">Open the shop</button>`;
  document.body.append(dialog);
  const input = dialog.querySelector("input");
  const button = dialog.querySelector("button");
  return new Promise((resolve) => {
    const open = async () => {
      button.disabled = true;
      const fault = await openSession(input.value.trim());
      button.disabled = false;
      dialog.querySelector("#key-fault").textContent = fault;
      if (fault) { input.focus(); return; }
      dialog.remove();
      resolve();
    };
    button.addEventListener("click", open);
    input.addEventListener("keydown", (event) => { if (event.key === "Enter") open(); });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.showModal();
  });
}

// Empty, or what is wrong.
async function openSession(key) {
  if (!/^[\w-]+$/.test(key)) return "A key looks like shopreel_…";
  try {
    const response = await fetch("/v1/session", { method: "POST", headers: { authorization: `Bearer ${key}` } });
    return response.ok ? "" : (await response.json()).detail;
  } catch {
    return "The shop does not answer.";
  }
}
