// What microphone.py asks the browser: which button a person presses, and a sound.

// Show a question with buttons below the cell. Gives the label of the button that is pressed, or ""
// when the seconds are over.
async function ask(question, labels, seconds = Infinity) {
  const line = document.createElement("div");
  line.append(`${question} `);
  const answer = await new Promise((resolve) => {
    for (const label of labels) {
      const button = document.createElement("button");
      button.textContent = label;
      button.onclick = () => resolve(label);
      line.append(button, " ");
    }
    document.body.append(line);
    const height = document.documentElement.scrollHeight;
    globalThis.google?.colab?.output?.setIframeHeight(height, true);
    if (seconds < Infinity) setTimeout(() => resolve(""), 1000 * seconds);
  });
  line.remove();
  return answer;
}

// Record until Stop is pressed, or for so many seconds. Gives {sound: an address with the data in
// it}, or {problem: the name of an error of the browser, words: what it says}.
async function record(seconds) {
  // What makes speech clear would spoil other sounds
  const asItIs = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: asItIs });
    const recorder = new MediaRecorder(stream, { audioBitsPerSecond: 256000 });
    const parts = [];
    recorder.ondataavailable = (event) => parts.push(event.data);
    const stopped = new Promise((resolve) => (recorder.onstop = resolve));
    const started = new Promise((resolve) => (recorder.onstart = resolve));
    recorder.start();
    await started;
    await ask(`Recording, for ${seconds} s at most.`, ["Stop"], seconds);
    recorder.stop();
    await stopped;
    const reader = new FileReader();
    const read = new Promise((resolve) => (reader.onload = resolve));
    reader.readAsDataURL(new Blob(parts, { type: recorder.mimeType }));
    await read;
    return { sound: reader.result };
  } catch (error) {
    return { problem: error.name, words: error.message };
  } finally {
    stream?.getTracks().forEach((track) => track.stop());
  }
}
