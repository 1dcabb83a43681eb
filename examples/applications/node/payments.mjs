// The payments writer with node-postgres, which knows one host only: a pool for the host in use, and after a failure a
// new pool for the next one. docs/applications.md says of each setting what breaks without it.

import { randomInt, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { checkServerIdentity } from "node:tls";
import pg from "pg";

const env = process.env;
const clusters = env.PAYMENTS_HOSTS.split(",");
// By the name there is one host, and a new pool looks it up again.
const hosts = env.PAYMENTS_FIND === "hosts" ? clusters : [env.PAYMENTS_NAME];
const PAY = "SELECT pay($1, $2, $3, $4)";
const PAUSE_MS = 50, LONGEST_PAUSE_MS = 500, PAYERS = 2, PAYMENTS_PER_SECOND = 5;
// Errors of the caller's (SQLSTATE classes), which no repetition mends.
const FINAL = ["22", "23", "42"];

const settings = {
  port: Number(env.PAYMENTS_PORT),
  database: env.PAYMENTS_DATABASE,
  user: env.PAYMENTS_USER,
  max: 4,
  connectionTimeoutMillis: 2000,
  query_timeout: 3000,
  statement_timeout: 2000,
  keepAlive: true,
  keepAliveInitialDelayMillis: 1000,
  maxLifetimeSeconds: 300,
  ssl: { ca: readFileSync(env.PAYMENTS_CA), checkServerIdentity: isOneOfTheClusters },
  onConnect: refuseStandby,
};

// The certificate carries RDS's names and not ours: that of either cluster will do, and no other.
function isOneOfTheClusters(_host, certificate) {
  const wrong = clusters.map((cluster) => checkServerIdentity(cluster, certificate));
  return wrong.includes(undefined) ? undefined : wrong[0];
}

async function refuseStandby(client) {
  const { rows } = await client.query("SHOW transaction_read_only");
  if (rows[0].transaction_read_only !== "off") throw new Error("this session cannot write");
}

let inUse = 0;
let pool = newPool();

function newPool() {
  const made = new pg.Pool({ ...settings, host: hosts[inUse] });
  made.on("error", () => replace(made)); // of an idle session; without a listener it ends the process
  return made;
}

// After a failure no session of that pool is trusted any more. Several payers may fail at once: the first one replaces.
function replace(failed) {
  if (failed !== pool) return;
  inUse = (inUse + 1) % hosts.length;
  pool = newPool();
  failed.end().catch(() => {});
}

async function pay(payment) {
  const used = pool;
  try {
    const { rows } = await used.query(PAY, payment);
    return rows[0].pay;
  } catch (error) {
    if (!isFinal(error)) replace(used);
    throw error;
  }
}

function isFinal(error) {
  return error instanceof pg.DatabaseError && error.code !== "42501" && FINAL.includes(error.code?.slice(0, 2));
}

// A payment is repeated under its key, which was made before the first attempt, until it is answered.
async function answered(payer, payment) {
  for (let ms = PAUSE_MS; ; ms = Math.min(2 * ms, LONGEST_PAUSE_MS)) {
    try {
      return tell(payer, payment, { answer: await pay(payment) });
    } catch (error) {
      if (isFinal(error)) throw error;
      tell(payer, payment, { error: error.message || error.code || String(error) });
      await pause(ms * (0.5 + Math.random() / 2));
    }
  }
}

function tell(payer, [key], outcome) {
  console.log(JSON.stringify({ t: Date.now() / 1000, payer, key, ...outcome }));
}

async function payer(number) {
  for (;;) {
    await answered(number, [randomUUID(), randomInt(1, 1000), randomInt(1, 5000), new Date()]);
    await pause(1000 / PAYMENTS_PER_SECOND);
  }
}

process.stdin.on("end", () => process.exit()).resume();
await Promise.all(Array.from({ length: PAYERS }, (_, number) => payer(number)));
