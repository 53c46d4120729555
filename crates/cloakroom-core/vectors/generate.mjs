// Makes node.json with the providers' own Node libraries.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";

import adyen from "@adyen/api-library";
import { sign, verify } from "@octokit/webhooks-methods";
import { Environment, Paddle } from "@paddle/paddle-node-sdk";
import "@shopify/shopify-api/adapters/node";
import { ApiVersion, shopifyApi } from "@shopify/shopify-api";

const NOW = 1_700_000_000;
const URL = "https://hooks.example.com/in/source";
const BODIES = {
  json: '{"id":"evt_1","type":"order.updated","data":{"amount":1200}}',
  unicode: '{"name":"Zażółć gęślą jaźń","sign":"\\u20ac €","emoji":"🧳"}',
  whitespace: '{\r\n  "a" : 1.0 ,\t"a": 2\n}\r\n',
};
const vectors = [];
const add = (source, scheme, name, secret, headers, body) =>
  vectors.push({ name: `${scheme}: ${name}`, source, scheme, secret, method: "POST", url: URL, headers, body, now: NOW });

// Paddle's library reads the clock.
const clock = Date;
globalThis.Date = class extends clock {
  constructor(...args) {
    super(...(args.length ? args : [NOW * 1000]));
  }
};

const validator = new adyen.hmacValidator();
const shopify = shopifyApi({
  apiKey: "key", apiSecretKey: "hush", apiVersion: ApiVersion.July26,
  hostName: "hooks.example.com", isEmbeddedApp: false, logger: { log: () => {} },
});
const paddle = new Paddle("key", { environment: Environment.sandbox });

for (const [name, body] of Object.entries(BODIES)) {
  const key = "11223344D785FBAE710E7F943F307971BB61B21281C98C9129B3D4018A57B2EB";
  const signature = validator.calculateHmac(body, key);
  assert(validator.validateHMACSignature(key, signature, body));
  add("@adyen/api-library", "adyen", name, key, { HmacSignature: signature, Protocol: "HmacSHA256" }, body);

  const github = await sign("mysecret", body);
  assert(await verify("mysecret", body, github));
  const event = { "X-GitHub-Event": "push", "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958" };
  add("@octokit/webhooks-methods", "github", name, "mysecret", { ...event, "X-Hub-Signature-256": github }, body);

  // Paddle's and Shopify's libraries verify only.
  const h1 = createHmac("sha256", "pdl_ntfset_secret").update(`${NOW}:${body}`).digest("hex");
  const header = `ts=${NOW};h1=${h1}`;
  assert(await paddle.webhooks.isSignatureValid(body, "pdl_ntfset_secret", header));
  add("@paddle/paddle-node-sdk", "paddle", name, "pdl_ntfset_secret", { "Paddle-Signature": header }, body);

  const headers = {
    "X-Shopify-API-Version": "2026-07", "X-Shopify-Shop-Domain": "shop.myshopify.com", "X-Shopify-Topic": "orders/updated",
    "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043", "X-Shopify-Event-Id": "98880550-7158-44d4-b7cd-2c97c8a091b5",
    "X-Shopify-Hmac-Sha256": createHmac("sha256", "hush").update(body).digest("base64"),
  };
  const result = await shopify.webhooks.validate({ rawBody: body, rawRequest: { method: "POST", url: "/in/source", headers } });
  assert(result.valid, JSON.stringify(result));
  add("@shopify/shopify-api", "shopify", name, "hush", headers, body);
}
console.log(JSON.stringify(vectors, null, 1));
