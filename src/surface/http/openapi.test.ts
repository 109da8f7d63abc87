import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { registry as declared } from "#src/command/registry.ts";
// oxlint-disable-next-line import/no-unassigned-import -- importing declares the commands
import "#src/node/commands.ts";
import { openTestDoor, testCommand, type TestDoor } from "./http.fixture.ts";

let door: TestDoor;
beforeAll(async () => {
  door = await openTestDoor({ registry: declared });
});
afterAll(() => door.close());

type Operation = { security: object[]; description?: string; "x-psionic-access"?: string };
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const documentFor = async (who: "ask" | "own" | "socket"): Promise<Document> =>
  (who === "socket"
    ? await (await fetch("http://localhost/openapi.json", { unix: door.socket })).json()
    : await (await door[who]("/openapi.json")).json()) as Document;

const commandPaths = ({ paths }: Document) =>
  Object.keys(paths)
    .filter((path) => path.startsWith("/commands/"))
    .map((path) => path.slice("/commands/".length));

describe("A-2 /openapi.json", () => {
  test.each(["ask", "own", "socket"] as const)(
    "A-2 the document for the caller %p passes a validator",
    async (who) => {
      const document = await documentFor(who);
      expect(document.openapi).toBe("3.1.0");
      const { valid, errors } = await new Validator().validate(
        document as unknown as object & Record<string, unknown>,
      );
      expect(errors ?? []).toEqual([]);
      expect(valid).toBe(true);
      const text = JSON.stringify(document);
      expect(text).not.toContain('"$schema"');
      // A reference into a command's own schema would point nowhere once it stands in this document.
      const references = [...text.matchAll(/"\$ref":"([^"]*)"/g)].map(([, target]) => target!);
      expect(references.filter((target) => !target.startsWith("#/components/"))).toEqual([]);
    },
  );

  test("A-3 its commands are those GET /commands lists for the same caller", async () => {
    for (const who of ["ask", "own"] as const) {
      const { commands } = (await (await door[who]("/commands")).json()) as {
        commands: { name: string; access: string }[];
      };
      const document = await documentFor(who);
      expect(commandPaths(document)).toEqual(commands.map(({ name }) => name));
      for (const { name, access } of commands) {
        const operation = document.paths[`/commands/${name}`]!["post"]!;
        expect(operation["x-psionic-access"]).toBe(access);
        expect(operation.description).toContain(`Access: ${access}.`);
      }
    }
    const counts = [];
    for (const who of ["ask", "own", "socket"] as const)
      counts.push(commandPaths(await documentFor(who)).length);
    expect(counts[0]!).toBeLessThan(counts[1]!);
    expect(counts[1]!).toBeLessThanOrEqual(counts[2]!);
  });

  const ownersPaths = ["/events", "/blobs/{digest}"];
  test("A-2 only what is safe says that it needs no token", async () => {
    for (const [path, operations] of Object.entries((await documentFor("own")).paths))
      for (const operation of Object.values(operations)) {
        const isOpen = operation.security.some((each) => Object.keys(each).length === 0);
        const access =
          operation["x-psionic-access"] ?? (ownersPaths.includes(path) ? "owner" : "safe");
        expect([path, isOpen]).toEqual([path, access === "safe"]);
      }
  });

  test("A-1 a command that is declared appears without another line anywhere", async () => {
    const added = testCommand("added/by-test", () => 1, { access: "safe" });
    const other = await openTestDoor({ commands: [added] });
    const document = (await (await other.ask("/openapi.json")).json()) as Document;
    expect(commandPaths(document)).toContain("added/by-test");
    await other.close();
  });
});
