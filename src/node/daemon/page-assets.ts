import type { Asset } from "#src/surface/http/parts.ts";

/** The files of the page by path. */
export async function pageAssets(): Promise<ReadonlyMap<string, Asset>> {
  const { webAssets } = await import("../web-assets.ts");
  return webAssets();
}
