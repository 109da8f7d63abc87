import { getLogger } from "@logtape/logtape";
import { rename, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { canonicalText, type Digest } from "#src/codec/digest.ts";
import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { datasetsDirectory } from "#src/train/run-data.ts";
import {
  readRunDocument,
  runDataFolder,
  specOf,
  type RunDocument,
} from "#src/train/run-document.ts";
import { revisionDigest } from "#src/train/revision.ts";
import type { RevisionPlace } from "#src/train/windows/tasks.ts";
import type { Run } from "#src/window/run.ts";
import type { LocalRuns } from "./local-runs.ts";
import { artifactBytesMaximum, documentBytesMaximum } from "./artifact-bytes.ts";
import type { KeptKind, RunArtifacts } from "./run-artifacts.ts";
import { RunPaths } from "./run-paths.ts";

/** A run is its user's: nobody else of the machine reads its weights. */
const ownerOnly = 0o700;

const log = getLogger(["psionic", "runs"]);

/** What of runs lies on this node's disk, brought there where it is missing: documents, data, revisions. */
export class RunPlaces {
  readonly #documents = new Map<string, RunDocument>();

  constructor(
    readonly services: Services,
    readonly artifacts: RunArtifacts,
    readonly local: LocalRuns,
  ) {}

  paths(run: string): RunPaths {
    return new RunPaths(this.services.home.runs, run);
  }

  /** Whether the document is here and the run has its row. */
  isHere(run: string): boolean {
    return this.#documents.has(run);
  }

  /** The document, where it was read since the daemon started. */
  known(run: string): RunDocument | null {
    return this.#documents.get(run) ?? null;
  }

  /** What an artifact of a run may have at most, as far as its document is known here; null before. */
  bytesMaximum(run: string, kind: KeptKind): number | null {
    const document = this.known(run);
    return document === null ? null : artifactBytesMaximum(kind, document.manifest.model);
  }

  /** Whether a start before this one brought the document here. */
  async wasHere(run: string): Promise<boolean> {
    return (await this.services.disk.stat(this.paths(run).document)) !== null;
  }

  /**
   * The run's document, fetched from its author or whoever works on it, laid out with its data where everything
   * that opens a run's data looks for it, and the run's row.
   */
  async document(run: Run, signal: AbortSignal): Promise<RunDocument> {
    const known = this.#documents.get(run.run);
    if (known !== undefined) return known;
    const { disk, home } = this.services;
    const paths = this.paths(run.run);
    const mesh = this.artifacts.mesh();
    if (mesh === null) throw new Refusal("interrupted", "this node left the mesh", "");
    this.local.claim(run, mesh.mesh);
    if ((await disk.stat(paths.document)) === null) {
      const keep = { run: run.run, kind: "document", number: 0 } as const;
      const mostBytes = documentBytesMaximum(await disk.freeBytes(home.root));
      await this.artifacts.fetch(run.document, keep, { from: holdersOf(run), mostBytes }, signal);
      const { takeOut } = await import("#src/artifact/take-out.ts");
      await disk.makeDirectory(paths.root, ownerOnly);
      const shelf = await this.artifacts.shelf();
      await takeOut(shelf, run.document, paths.document, signal);
    }
    const document = await readRunDocument(disk, paths.document);
    requireSame(document, run);
    await this.#linkData(paths, document);
    this.local.add(run, document.manifest);
    this.#documents.set(run.run, document);
    return document;
  }

  /** Prepared data is looked for among the home's datasets: there a link leads to the document's. */
  async #linkData(paths: RunPaths, { manifest }: RunDocument): Promise<void> {
    const { reference } = manifest.data;
    if (reference.task !== "text") return;
    const { disk, home, random } = this.services;
    const directory = datasetsDirectory(home.root);
    const place = join(directory, reference.directory);
    if ((await disk.stat(place).catch(() => null)) !== null) return;
    await disk.makeDirectory(directory);
    const draft = join(directory, `.${random.bytes(8).toHex()}.link`);
    await symlink(relative(dirname(place), join(paths.document, runDataFolder)), draft);
    await rename(draft, place);
  }

  /** The run's present revision as the worker process takes it, fetched where it is not here. */
  async present(run: Run, signal: AbortSignal): Promise<RevisionPlace> {
    const { number, digest, artifact } = run.revision;
    if (number === 0 || artifact === null) return { number, digest, directory: null };
    const directory = this.paths(run.run).revision(number);
    if (!(await this.#isRevisionHere(directory, digest)))
      await this.#fetchRevision(run, { number, artifact, directory }, signal);
    return { number, digest, directory };
  }

  async #isRevisionHere(directory: string, digest: Digest | null): Promise<boolean> {
    const { disk } = this.services;
    if ((await disk.stat(directory)) === null) return false;
    const found = await revisionDigest(disk, directory).catch((error: unknown) => {
      if (error instanceof Refusal) return null;
      throw error;
    });
    if (found !== null && (digest === null || found === digest)) return true;
    log.warning("the revision in {directory} is not the run's, and is fetched again", {
      directory,
    });
    await disk.remove(directory);
    return false;
  }

  async #fetchRevision(
    run: Run,
    {
      number,
      artifact,
      directory,
    }: { readonly number: number; readonly artifact: Digest; readonly directory: string },
    signal: AbortSignal,
  ): Promise<void> {
    const keep = { run: run.run, kind: "revision", number } as const;
    const holders = run.workers.filter(({ revision }) => revision === number);
    const from = holders.map(({ node }) => node);
    const mostBytes = this.bytesMaximum(run.run, "revision");
    await this.artifacts.fetch(artifact, keep, { from, mostBytes }, signal);
    const { takeOut } = await import("#src/artifact/take-out.ts");
    await this.services.disk.makeDirectory(dirname(directory));
    await takeOut(await this.artifacts.shelf(), artifact, directory, signal);
  }
}

/** The log says how the work is cut, and the document says so too. Refused with `run_document_wrong`. */
function requireSame(document: RunDocument, { run, spec }: Run): void {
  if (canonicalText(specOf(document)) === canonicalText(spec)) return;
  throw new Refusal(
    "run_document_wrong",
    `the document of ${run} has other settings than the mesh's log`,
    "whoever began the run did not take them from its document; begin another run",
    { run },
  );
}

/** Who has a run's document: its author, and whoever works on it. */
function holdersOf({ author, workers }: Run): readonly string[] {
  return [author, ...workers.map(({ node }) => node).filter((node) => node !== author)];
}
