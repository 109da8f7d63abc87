import { expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { webAssets } from "./web-assets.ts";

const assets = webAssets();
const text = (path: string) => String(assets.get(path)?.body);

/** What a browser fetches before the page is there, compressed. */
const transferMaximum = 150_000;

test("the page is small: all of it together, compressed", () => {
  const sizeBytes = [...assets.values()].reduce(
    (sum, { body }) => sum + gzipSync(Buffer.from(body)).length,
    0,
  );
  expect(sizeBytes).toBeGreaterThan(10_000);
  expect(sizeBytes).toBeLessThan(transferMaximum);
});

test("the page needs nothing from elsewhere, and nothing a strict policy forbids", () => {
  const document = text("/");
  const named = [...document.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, path]) => path!);
  expect(named.length).toBe(3);
  for (const path of named) expect([...assets.keys()]).toContain(path);
  expect(document).not.toMatch(/<style|style=|<script>|\son\w+=/);
  expect(text("/page.css")).not.toMatch(/url\(|@import/);
  // The icon's and the document's namespaces are names, not addresses.
  expect(text("/page.js").replaceAll("http://www.w3.org/", "")).not.toMatch(/https?:\/\/\w/);
});

test("every file has its type and a digest of its own", () => {
  const types = [...assets.values()].map(({ type }) => type);
  expect(types).toEqual([
    "text/html; charset=utf-8",
    "text/javascript; charset=utf-8",
    "text/css; charset=utf-8",
    "image/svg+xml",
  ]);
  const etags = new Set([...assets.values()].map(({ etag }) => etag));
  expect(etags.size).toBe(4);
  for (const etag of etags) expect(etag).toMatch(/^[0-9a-f]{32}$/);
});
