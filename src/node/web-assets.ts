import type { Asset } from "#src/surface/http/parts.ts";
import icon from "#web/icon.svg" with { type: "text" };
import document from "#web/index.html" with { type: "text" };
import style from "#web/page.css" with { type: "text" };
import script from "#web/page.js" with { type: "text" };

function asset(type: string, body: string): Asset {
  const digest = new Bun.CryptoHasher("sha256").update(body).digest("hex");
  return { type, body, etag: digest.slice(0, 32) };
}

/** The operator's page by path, from inside the executable; it needs nothing from elsewhere. */
export function webAssets(): ReadonlyMap<string, Asset> {
  return new Map([
    ["/", asset("text/html; charset=utf-8", document)],
    ["/page.js", asset("text/javascript; charset=utf-8", script)],
    ["/page.css", asset("text/css; charset=utf-8", style)],
    ["/icon.svg", asset("image/svg+xml", icon)],
  ]);
}
