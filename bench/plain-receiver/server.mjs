// A webhook receiver as one would write it without Cloakroom: fastify, SQLite with a unique index on the event's id, and a
// forward to the consumer. It is durable and recognises duplicates. It does not put events in order: it forwards them as
// they came, one at a time for each key, and has neither retries nor a recovery after a crash.
//
// PORT, DATABASE, SECRET (hex) and CONSUMER (a URL; optional) are taken from the environment. With BATCHED, requests that
// wait at the same time share one transaction, which hardly anybody writes.
import { createHmac, timingSafeEqual } from "node:crypto";
import { Agent, request } from "node:http";
import Database from "better-sqlite3";
import fastify from "fastify";

const { PORT, DATABASE, SECRET, CONSUMER, BATCHED } = process.env;
const key = Buffer.from(SECRET, "hex");

const db = new Database(DATABASE);
db.pragma("journal_mode = WAL");
db.pragma("synchronous = FULL");
db.exec(`CREATE TABLE IF NOT EXISTS webhooks (
  id INTEGER PRIMARY KEY,
  event_id TEXT NOT NULL UNIQUE,
  received_at INTEGER NOT NULL,
  delivered_at INTEGER,
  body BLOB NOT NULL
)`);
const insert = db.prepare(
  "INSERT INTO webhooks (event_id, received_at, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
);
const settle = db.prepare("UPDATE webhooks SET delivered_at = ? WHERE event_id = ?");

// Statements that wait for the next transaction, when they are batched.
let waiting = [];
const commit = db.transaction((statements) => {
  for (const one of statements) one.changes = one.statement.run(...one.values).changes;
});

function write(statement, ...values) {
  if (!BATCHED) return statement.run(...values).changes;
  return new Promise((resolve, reject) => {
    if (waiting.length === 0) setImmediate(flush);
    waiting.push({ statement, values, resolve, reject });
  });
}

function flush() {
  const group = waiting;
  waiting = [];
  try {
    commit(group);
    for (const one of group) one.resolve(one.changes);
  } catch (error) {
    for (const one of group) one.reject(error);
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const queues = new Map();

function post(body) {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": body.length };
    const sent = request(CONSUMER, { agent, method: "POST", headers }, (answer) => {
      answer.resume();
      answer.on("end", () => (answer.statusCode < 300 ? resolve() : reject(new Error(`status ${answer.statusCode}`))));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

function forward(stream, eventId, body) {
  const next = (queues.get(stream) ?? Promise.resolve())
    .then(() => post(body))
    .then(() => write(settle, Date.now(), eventId))
    .catch((error) => console.error(`${eventId} was not delivered: ${error.message}`));
  queues.set(stream, next);
  next.then(() => queues.get(stream) === next && queues.delete(stream));
}

const app = fastify({ bodyLimit: 1024 * 1024 });
app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_, body, done) => done(null, body));
app.get("/readyz", () => "ready");
app.post("/in/transfers", async (received, reply) => {
  const body = received.body;
  const expected = createHmac("sha256", key).update(body).digest();
  const given = Buffer.from(received.headers.hmacsignature ?? "", "base64");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    return reply.code(401).send({ error: "the signature does not hold" });
  }
  const { data } = JSON.parse(body);
  const eventId = `${data.id}/${data.sequenceNumber}`;
  const changes = await write(insert, eventId, Date.now(), body);
  if (changes > 0 && CONSUMER) forward(data.id, eventId, body);
  return reply.code(changes > 0 ? 202 : 200).send({ id: eventId, status: changes > 0 ? "accepted" : "duplicate" });
});
await app.listen({ host: "127.0.0.1", port: Number(PORT) });
