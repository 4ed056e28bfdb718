// The visitor's own camera as the camera of a lane: JPEG frames to its node, which reads the code itself.

import { post } from "./ask.js";
import { make, pieces, say, write } from "./words.js";

const WIDTH = 640;
const FRAME_EVERY_MS = 250;
const QUALITY = 0.8;

const at = pieces(document.getElementById("ticket"));
const choice = document.getElementById("webcam-lane");
const picture = at["webcam-picture"];
const button = at["webcam-switch"];
const canvas = document.createElement("canvas");

let stream = null;
let timer = 0;
let busy = false;
let sent = 0;

const REASONS = {
  NotAllowedError: "webcam_denied",
  NotFoundError: "webcam_none",
  OverconstrainedError: "webcam_none",
};

function stop(words = "") {
  clearInterval(timer);
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  picture.srcObject = null;
  picture.hidden = true;
  button.setAttribute("aria-pressed", "false");
  write(button, say("webcam_start"));
  write(at["webcam-note"], words);
}

async function start() {
  if (!choice.value) {
    stop(say("webcam_no_lane"));
    return;
  }
  if (!navigator.mediaDevices?.getUserMedia) {
    stop(say("webcam_insecure"));
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { width: { ideal: WIDTH }, facingMode: { ideal: "environment" } },
    });
    picture.srcObject = stream;
    picture.hidden = false;
    await picture.play();
  } catch (error) {
    stop(REASONS[error.name] ? say(REASONS[error.name]) : say("failed", { detail: error.message }));
    return;
  }
  stream.getVideoTracks()[0].addEventListener("ended", () => stop(say("webcam_none")));
  sent = 0;
  button.setAttribute("aria-pressed", "true");
  write(button, say("webcam_stop"));
  timer = setInterval(() => void send(), FRAME_EVERY_MS);
}

async function send() {
  // A frame that is late is no longer wanted: skip this one while the last is under way.
  if (busy || !stream || !picture.videoWidth) {
    return;
  }
  busy = true;
  try {
    canvas.width = WIDTH;
    canvas.height = Math.round((WIDTH * picture.videoHeight) / picture.videoWidth);
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    const jpeg = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
    await post(`/api/lanes/${encodeURIComponent(choice.value)}/frame`, jpeg, "image/jpeg");
    sent += 1;
    // Counting aloud would never end for those who listen: the note speaks at the first picture only.
    if (sent === 1) {
      write(at["webcam-note"], say("webcam_sent", { n: sent }));
    } else {
      button.title = say("webcam_sent", { n: sent });
    }
  } catch (error) {
    stop(say("failed", { detail: error.message }));
  } finally {
    busy = false;
  }
}

button.addEventListener("click", () => (stream ? stop() : void start()));

export function showCameras(lanes) {
  const names = lanes.filter((lane) => lane.camera).map((lane) => lane.name);
  if (names.join("\n") !== [...choice.options].map((option) => option.value).join("\n")) {
    choice.replaceChildren(...names.map((name) => make("option", name, { value: name })));
  }
}
