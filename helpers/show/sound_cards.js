// What a click on a sound card does. It stands in an attribute of each grid of cards, because a
// widget puts HTML into a page without running its scripts.

// Play the sound of the card that was clicked, or stop it if it plays.
function pressCard(clicked) {
  const button = clicked.closest("button");
  const audio = button?.parentElement.querySelector("audio");
  if (!audio) return;
  const isPlaying = !audio.paused;
  stopCards();
  stopOtherPages();
  if (!isPlaying) playCard(button, audio);
}

// Play a sound, and move the line over its picture.
function playCard(button, audio) {
  const line = button.querySelector("i");
  const press = (isPressed) => button.setAttribute("aria-pressed", isPressed);
  const move = () => {
    line.style.left = `${(100 * audio.currentTime) / audio.duration}%`;
    if (!audio.paused) requestAnimationFrame(move);
  };
  const fail = (error) => {
    if (error.name === "AbortError") return; // it was stopped before it began
    press(false);
    button.querySelector("small").textContent = "this browser cannot play it";
  };
  audio.onpause = () => press(false); // also at its end
  press(true);
  line.style.left = "0";
  audio.play().then(move, fail);
}

// Stop what plays in this page, whichever output it stands in.
function stopCards() {
  for (const audio of document.querySelectorAll(".sound-cards audio")) {
    if (audio.paused) continue;
    audio.pause();
    audio.currentTime = 0;
  }
}

// The same in the other pages of the notebook: in Colab each output is one.
function stopOtherPages() {
  try {
    window.soundCards ??= new BroadcastChannel("sound-cards");
    window.soundCards.onmessage = stopCards;
    window.soundCards.postMessage("stop");
  } catch {
    // Here pages cannot talk to each other: two sounds may play at a time
  }
}
