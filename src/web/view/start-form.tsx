import { useEffect, useMemo, useState } from "preact/hooks";
import type { MeshStatus } from "../mesh-answers.ts";
import type { ListedCommand } from "../protocol.ts";
import { hashOf } from "../router.ts";
import { type Field, fieldsOf, parseFields } from "../schema-fields.ts";
import { asRefused, call, type Refused } from "./node-client.ts";
import { Loading, RefusalNote } from "./pieces.tsx";
import { useAnswer } from "./use-answer.ts";

/** What most people say; everything else the command takes is under "More settings". */
const firstNames = ["size", "steps", "minutes", "seed", "name"];

/** Members come and go while the form is open. */
const meshKept = { on: ({ type }: { readonly type: string }) => type.startsWith("cluster.") };

/**
 * Starts a run. Its fields are the parameters of `run/start` as the node declares them, so that a
 * new parameter appears here by itself.
 */
export function StartForm({ isOpen }: { readonly isOpen: boolean }) {
  const [isExpanded, setExpanded] = useState(false);
  useEffect(() => {
    if (isOpen) setExpanded(true);
  }, [isOpen]);
  const commands = useAnswer<{ commands: ListedCommand[] }>(isExpanded ? "commands/list" : null);
  const command = commands.value?.commands.find(({ name }) => name === "run/start");
  return (
    <section class="panel" aria-labelledby="start-title">
      <div class="panel-head">
        <h2 id="start-title">Start a run</h2>
        <button
          type="button"
          class={isExpanded ? "" : "primary"}
          aria-expanded={isExpanded}
          onClick={() => setExpanded(!isExpanded)}
        >
          {isExpanded ? "Close" : "New run"}
        </button>
      </div>
      {isExpanded && (
        <>
          <RefusalNote refused={commands.refused} />
          {commands.value === null && commands.refused === null && <Loading what="settings" />}
          {commands.value !== null && !command && (
            <p class="empty">This node does not let you start runs.</p>
          )}
          {command && <StartFields command={command} />}
        </>
      )}
    </section>
  );
}

function StartFields({ command }: { readonly command: ListedCommand }) {
  const fields = useMemo(() => fieldsOf(command.parameters), [command]);
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>({});
  const [isTask, setTask] = useState(true);
  const [mistakes, setMistakes] = useState<Readonly<Record<string, string>>>({});
  const [refused, setRefused] = useState<Refused | null>(null);
  const [isStarting, setStarting] = useState(false);
  const files = fields.find(({ name }) => name === "files");
  const first = firstNames.flatMap((name) => fields.find((field) => field.name === name) ?? []);
  const where = fields.find(({ name }) => name === "on");
  const known = new Set(["files", "on", ...firstNames]);
  const rest = fields.filter(({ name }) => !known.has(name));
  const set = (name: string, text: string) => setTexts((old) => ({ ...old, [name]: text }));

  const start = async () => {
    const said = isTask ? { ...texts, files: "" } : texts;
    const { parameters, mistakes: found } = parseFields(fields, said);
    const wrong =
      !isTask && !("files" in parameters) ? { ...found, files: "name at least one file" } : found;
    setMistakes(wrong);
    setRefused(null);
    if (Object.keys(wrong).length > 0) return;
    setStarting(true);
    try {
      const { name } = await call<{ name: string }>(command.name, parameters);
      location.hash = hashOf({ view: "run", run: name });
    } catch (error) {
      setRefused(asRefused(error));
      setStarting(false);
    }
  };
  const show = (field: Field) => (
    <FieldInput
      key={field.name}
      field={field}
      text={texts[field.name] ?? ""}
      mistake={mistakes[field.name]}
      onText={(text) => set(field.name, text)}
    />
  );
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void start();
      }}
    >
      <fieldset class="choices">
        <legend>Data</legend>
        <label>
          <input type="radio" name="data" checked={isTask} onChange={() => setTask(true)} /> The
          built-in task: adding numbers
        </label>
        <label>
          <input type="radio" name="data" checked={!isTask} onChange={() => setTask(false)} /> Files
          on this node
        </label>
      </fieldset>
      {where && <Where chosen={texts["on"] ?? ""} onChoose={(text) => set("on", text)} />}
      {!isTask && files && show({ ...files, label: "files or folders, one path per line" })}
      <p class="muted">What is left empty, the node decides.</p>
      <div class="fields">{first.map(show)}</div>
      <details>
        <summary>More settings ({rest.length})</summary>
        <div class="fields">{rest.map(show)}</div>
      </details>
      <RefusalNote refused={refused} />
      <button type="submit" class="primary" disabled={isStarting}>
        {isStarting ? "Starting…" : "Start"}
      </button>
    </form>
  );
}

interface WhereProps {
  /** Empty until something was chosen: the node decides. */
  readonly chosen: string;
  onChoose(text: string): void;
}

/** Whether all nodes of the mesh work on the run, or this one alone. A node alone has no choice. */
function Where({ chosen, onChoose }: WhereProps) {
  const mesh = useAnswer<Pick<MeshStatus, "memberCount">>("cluster/status", {}, meshKept);
  const memberCount = mesh.value?.memberCount ?? 0;
  const isShared = memberCount > 1;
  useEffect(() => {
    if (isShared && chosen === "") onChoose("mesh");
    if (!isShared && mesh.value !== null && chosen !== "") onChoose("");
  }, [isShared, mesh.value]);
  if (!isShared) return null;
  return (
    <fieldset class="choices">
      <legend>On</legend>
      <label>
        <input
          type="radio"
          name="on"
          checked={chosen === "mesh"}
          onChange={() => onChoose("mesh")}
        />{" "}
        the mesh: {memberCount} nodes
      </label>
      <label>
        <input
          type="radio"
          name="on"
          checked={chosen === "here"}
          onChange={() => onChoose("here")}
        />{" "}
        this node
      </label>
    </fieldset>
  );
}

interface FieldInputProps {
  readonly field: Field;
  readonly text: string;
  readonly mistake: string | undefined;
  readonly onText: (text: string) => void;
}

function FieldInput({ field, text, mistake, onText }: FieldInputProps) {
  const id = `start-${field.name}`;
  const described = {
    id,
    name: field.name,
    "aria-describedby": `${id}-note`,
    "aria-invalid": mistake !== undefined,
  };
  return (
    <div class={`field${field.kind === "lines" ? " wide" : ""}`}>
      <label for={id}>{field.label}</label>
      {field.kind === "choice" || field.kind === "truth" ? (
        <select {...described} value={text} onChange={(event) => onText(event.currentTarget.value)}>
          <option value="">default</option>
          {(field.kind === "truth" ? ["true", "false"] : field.choices).map((choice) => (
            <option key={choice} value={choice}>
              {field.kind === "truth" ? (choice === "true" ? "yes" : "no") : choice}
            </option>
          ))}
        </select>
      ) : field.kind === "lines" ? (
        <textarea
          {...described}
          rows={3}
          spellcheck={false}
          value={text}
          onInput={(event) => onText(event.currentTarget.value)}
        />
      ) : (
        <input
          {...described}
          type="text"
          inputMode={field.kind === "text" ? "text" : "decimal"}
          spellcheck={false}
          autocomplete="off"
          value={text}
          onInput={(event) => onText(event.currentTarget.value)}
        />
      )}
      <small id={`${id}-note`} class={mistake ? "mistake" : ""}>
        {mistake ?? field.description}
      </small>
    </div>
  );
}
