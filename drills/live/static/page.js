// The page of the living lab: it draws what the server says (server-sent events), and sends what the buttons ask.
"use strict";

const token = document.querySelector("meta[name=token]").content;
const byId = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const HISTORY_S = 120;
const CHART = { width: 1200, height: 180 };

let pulses = [];
let regions = [];
let runs = [];
let followed = null;
let now = { now: 0 };

// --- small helpers; text is always set as text, never as HTML

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function fill(parent, children, otherwise) {
  parent.replaceChildren(...(children.length ? children : [make("p", { class: "soft" }, otherwise)]));
}

// EventBridge names a run by two UUIDs; people need its beginning.
const RUN = /([0-9a-f]{8})-[0-9a-f-]{27}(_[0-9a-f-]{36})?/g;
// Not within backticks: a command is there to be copied.
const short = (text) => text.split("`").map((part, at) => (at % 2 ? part : part.replace(RUN, "$1…"))).join("`");
const clock = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");
const seconds = (value) => `${value.toFixed(1)} s`;

function since(at) {
  return now.struck_at === null || at < now.struck_at ? clock(at) : `+${seconds(at - now.struck_at)}`;
}

// --- what the server says

const show = {
  history(data) {
    pulses = data;
  },

  pulse(data) {
    now = data;
    if (data.rates) {
      pulses.push(data);
      pulses = pulses.filter((each) => each.at > data.now - HISTORY_S - 5);
      for (const region of regions) {
        const rate = byId(`region-${region.name}`).querySelector(".rate strong");
        rate.textContent = Math.round(data.rates[region.name]);
      }
      byId("clients").textContent = `${data.clients - data.failing} of ${data.clients} clients write`;
    }
    showClocks(data);
    showRegionFigures();
    drawChart();
  },

  headline(data) {
    const headline = byId("headline");
    const sentence = short(data.sentence);
    if (headline.textContent !== sentence) headline.textContent = sentence;
    headline.className = data.kind;
  },

  regions(data) {
    regions = data;
    for (const region of data) {
      const card = byId(`region-${region.name}`);
      const lost = region.life !== "up" || region.database === "down";
      card.classList.toggle("writer", region.role === "writer");
      card.classList.toggle("lost", lost);
      card.querySelector(".role").textContent = region.role;
      const words = [`region ${region.life}`, `database ${region.database}`];
      if (region.fenced) words.push("fenced");
      if (!region.sees_peer && region.life === "up") words.push("does not see the other region");
      const life = card.querySelector(".life");
      life.textContent = words.join(", ");
      life.classList.toggle("bad", lost);
    }
    showRegionFigures();
  },

  control(data) {
    const parts = data.writer ? [`Writer ${data.writer}`, `epoch ${data.epoch}`] : [];
    if (data.writer) parts.push(data.protected ? "protected" : "not protected: no standby");
    if (data.lock) parts.push(`run ${data.lock.run} holds the lock (${data.lock.mode}, ${data.lock.phase})`);
    if (data.wanted) parts.push(`a person wants it to ${data.wanted}`);
    if (data.reprotection) parts.push(`run ${data.reprotection} re-protects`);
    if (data.automation_off) parts.push(`automatic failover is off: ${data.automation_off}`);
    byId("control").textContent = short(parts.join(" · "));
  },

  alarms(data) {
    const order = { ALARM: 0, OK: 1, INSUFFICIENT_DATA: 2 };
    const mark = { ALARM: "▲", OK: "✓", INSUFFICIENT_DATA: "·" };
    const said = { ALARM: "in ALARM", OK: "OK", INSUFFICIENT_DATA: "not enough data" };
    const sorted = [...data].sort((one, other) => order[one.state] - order[other.state]);
    const rows = sorted.map((alarm) => {
      const still = alarm.stands_still ? " (its region is down)" : "";
      const row = make("li", { class: alarm.state, title: `${said[alarm.state]}. ${alarm.about}` });
      row.append(make("b", { "aria-hidden": "true" }, mark[alarm.state]), `${alarm.name}: ${said[alarm.state]}${still}`);
      row.classList.toggle("still", alarm.stands_still);
      return row;
    });
    fill(byId("alarms"), rows, "None yet.");
  },

  runs(data) {
    runs = data;
    const choice = byId("run");
    const kept = choice.value;
    const options = data.map((run) => make("option", { value: run.name }, `${clock(run.started_at)} ${short(run.name)}`));
    choice.replaceChildren(choice.options[0], ...options);
    choice.value = data.some((run) => run.name === kept) ? kept : "";
    drawRun();
  },

  followed(data) {
    followed = data;
    drawRun();
  },

  messages(data) {
    const open = openOnes(byId("messages"));
    fill(byId("messages"), data.map((message) => {
      const title = `${since(message.at)} ${message.region}: ${message.subject}`;
      return folded(`${message.at}`, title, message.text, "", open);
    }), "None yet.");
  },

  lines(data) {
    byId("lines").replaceChildren(...data.filter((line) => !line.text.startsWith("→")).map((line) => make(
      "li",
      { class: line.kind },
      make("span", {}, since(line.at)),
      make("span", { class: "kind soft" }, line.kind),
      make("span", {}, line.text),
    )));
  },

  calls(data) {
    const open = openOnes(byId("calls"));
    fill(byId("calls"), data.map((call) => {
      const end = call.code === null ? "at work" : `exit ${call.code}`;
      return folded(`${call.at}`, `${clock(call.at)} $ ${call.command} (${end})`, call.printed, call.code ? "refused" : "", open);
    }), "None yet by these buttons.");
  },

  troubles(data) {
    byId("troubles").textContent = Object.entries(data).map(([name, about]) => `${name}: ${about}`).join("; ");
  },

  lacking(data) {
    byId("lacking").textContent = data.length ? `not steady: ${data.slice(0, 2).join(", ")}${data.length > 2 ? ", …" : ""}` : "all is well";
  },
};

function openOnes(parent) {
  return new Set([...parent.querySelectorAll("details[open]")].map((each) => each.dataset.key));
}

function folded(key, title, text, style, open) {
  const made = make("details", { "data-key": key }, make("summary", {}, title), make("pre", { class: style }, text || "(nothing)"));
  made.open = open.has(key);
  return made;
}

function showClocks(data) {
  const silence = byId("silence");
  if (data.silent_s !== null) {
    silence.textContent = `none for ${seconds(data.silent_s)}`;
    silence.className = "big bad";
  } else if (data.was_silent_s !== null) {
    silence.textContent = `back after ${seconds(data.was_silent_s)}`;
    silence.className = "big good";
  } else {
    silence.textContent = data.rates ? "all is written" : "–";
    silence.className = "big";
  }
}

function showRegionFigures() {
  for (const region of regions) {
    const card = byId(`region-${region.name}`);
    const lease = card.querySelector(".lease");
    const lag = card.querySelector(".lag");
    lease.hidden = region.role !== "writer";
    if (!lease.hidden) {
      const left = now.lease_left;
      lease.querySelector(".left").textContent = left === null ? "not renewed yet" : left > 0 ? `ends in ${seconds(left)}` : "is over";
      lease.querySelector(".bar").setAttribute("aria-valuenow", left ?? 0);
      lease.querySelector("i").style.width = `${(100 * (left ?? 0)) / now.lease_of}%`;
    }
    lag.hidden = region.database !== "follows";
    lag.querySelector("strong").textContent = now.lag_ms === null ? "not known" : `${now.lag_ms} ms`;
  }
}

// --- the moving picture of commits

function drawChart() {
  const start = now.now - HISTORY_S;
  const total = (each) => Object.values(each.rates).reduce((sum, rate) => sum + rate, 0);
  const top = Math.max(10, ...pulses.map(total)) * 1.1;
  const x = (at) => (((at - start) / HISTORY_S) * CHART.width).toFixed(1);
  const y = (rate) => (CHART.height * (1 - rate / top)).toFixed(1);
  const shapes = [];
  let below = pulses.map(() => 0);
  regions.forEach((region, number) => {
    const above = pulses.map((each, index) => below[index] + (each.rates[region.name] ?? 0));
    const upper = pulses.map((each, index) => `${x(each.at)} ${y(above[index])}`);
    const lower = pulses.map((each, index) => `${x(each.at)} ${y(below[index])}`).reverse();
    if (upper.length) shapes.push(shape("path", { class: `area-${number}`, d: `M${[...upper, ...lower].join("L")}Z` }));
    below = above;
  });
  if (now.struck_at !== null && now.struck_at > start) {
    const at = x(now.struck_at);
    shapes.push(shape("line", { class: "struck", x1: at, x2: at, y1: 0, y2: CHART.height }));
  }
  byId("chart").replaceChildren(...shapes);
  byId("top").textContent = `top ${Math.round(top / 1.1)}/s`;
}

function shape(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// --- the run in the graph

function drawRun() {
  const wanted = byId("run").value || followed;
  const run = runs.find((each) => each.name === wanted);
  const machine = run ? run.machine : "failover";
  for (const graph of document.querySelectorAll(".graph")) {
    graph.hidden = graph.dataset.machine !== machine;
    if (graph.hidden) continue;
    const visited = run ? run.visited : [];
    const active = run ? run.active : [];
    const stateOf = new Map([...graph.querySelectorAll(".state")].map((state) => [state.dataset.state, state]));
    for (const [name, state] of stateOf) {
      state.classList.toggle("visited", visited.includes(name));
      state.classList.toggle("active", active.includes(name));
    }
    drawWay(graph, visited, stateOf);
    follow(graph, stateOf.get(active.at(-1)));
  }
  byId("run-line").textContent = run ? runLine(run) : "no run yet: strike, or start one";
}

// A run takes the way to the state that it entered next; out of a parallel state it takes all of them.
function drawWay(graph, visited, stateOf) {
  const lines = [...graph.querySelectorAll(".line:not(.error)")];
  const after = (line) => {
    const [from, to] = [visited.indexOf(line.dataset.from), visited.indexOf(line.dataset.to)];
    return from >= 0 && to > from ? to : Infinity;
  };
  for (const line of lines) {
    const others = lines.filter((other) => other.dataset.from === line.dataset.from);
    const all = stateOf.get(line.dataset.from).classList.contains("parallel");
    const entered = after(line);
    line.classList.toggle("taken", entered < Infinity && (all || entered === Math.min(...others.map(after))));
  }
}

function runLine(run) {
  const end = run.status === "RUNNING" ? `at ${run.active.join(", ") || "its start"}` : run.status.toLowerCase();
  const lasted = (run.ended_at ?? now.now) - run.started_at;
  return `${run.machine} in ${run.region}, ${end}, ${seconds(Math.max(lasted, 0))} (${short(run.name)})`;
}

function follow(graph, state) {
  if (!state || graph.scrollWidth <= graph.clientWidth) return;
  const box = state.getBBox();
  graph.scrollTo({
    left: box.x + box.width / 2 - graph.clientWidth / 2,
    top: box.y - graph.clientHeight / 2,
    behavior: calm.matches ? "auto" : "smooth",
  });
}

// --- what the buttons ask

async function post(path, body, button) {
  button.setAttribute("aria-busy", "true");
  button.disabled = true;
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Lab-Token": token },
      body: JSON.stringify(body),
    });
    if (answer.headers.get("Content-Type") !== "application/json") return { refused: `the lab answered ${answer.status}: load the page again` };
    return await answer.json();
  } catch {
    return { refused: "the lab gives no answer: has it been stopped?" };
  } finally {
    button.removeAttribute("aria-busy");
    button.disabled = false;
    button.focus({ preventScroll: true });
  }
}

function say(said) {
  const text = said.refused ?? said.printed ?? "";
  byId("answer").replaceChildren(...(text ? [make("pre", { class: said.refused || said.code ? "refused" : "" }, text)] : []));
}

for (const button of document.querySelectorAll("button[data-post]")) {
  button.addEventListener("click", async () => say(await post(button.dataset.post, {}, button)));
}

for (const form of document.querySelectorAll("form[data-verb]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = Object.fromEntries([...new FormData(form, event.submitter)].filter(([, value]) => value !== ""));
    for (const box of form.querySelectorAll("input[type=checkbox]")) if (box.checked) given[box.name] = true;
    say(await post(`/verb/${encodeURIComponent(form.dataset.verb)}`, given, event.submitter));
  });
}

byId("run").addEventListener("change", drawRun);

// --- the connection; the browser connects again by itself

const events = new EventSource("/events");
for (const [name, draw] of Object.entries(show)) {
  events.addEventListener(name, (event) => draw(JSON.parse(event.data)));
}
events.addEventListener("open", () => {
  byId("connection").textContent = "live";
  byId("connection").className = "";
});
events.addEventListener("error", () => {
  byId("connection").textContent = "no connection: has the lab been stopped?";
  byId("connection").className = "lost";
});
