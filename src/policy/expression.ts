import { Environment, ParseError, type ASTNode } from "@marcbachmann/cel-js";
import { nearest } from "#src/command/nearest.ts";
import { listMaximum, whyNotDeclarable, type SignalType } from "./signals.ts";
import { expressionMaximum } from "./policy-schema.ts";

/**
 * Expressions of policies: the part of the Common Expression Language (CEL) that is total and
 * deterministic, found by walking the parsed expression. What is not named here is refused when a
 * policy is added: regular expressions, floats, time, maps, conversions, text that grows. Every
 * expression has a bound on its steps, counted before it ever runs.
 */

/** Most parts (operators, names, literals) of one expression, and how deep they may nest. */
const limits = {
  maxAstNodes: 256,
  maxDepth: 24,
  maxListElements: 64,
  maxMapEntries: 0,
  maxCallArguments: 2,
};

/** Something an expression may not be or do, with its place. */
export class ExpressionFault extends Error {
  constructor(
    readonly reason: string,
    /** First character of the place, from 0. */
    readonly start: number,
    readonly end: number,
    readonly suggestion: string | null = null,
  ) {
    super(reason);
  }
}

/** An expression that was found to be within the language. */
export interface CheckedExpression {
  /** Most steps one evaluation takes; a step is an operation on scalars or a pass over a short text. */
  readonly stepCount: number;
  readonly evaluate: (context: Readonly<Record<string, unknown>>) => unknown;
}

/** What a part of an expression is: its type, its steps at worst, and for lists the most items. */
interface Part {
  readonly type: SignalType;
  readonly steps: number;
  readonly items: number;
}

/** Steps of one operation at its worst, with texts and lists at their bounds. */
const stepCosts = { scalar: 1, text: 2, search: 64, textSize: 8 } as const;

const methods: Readonly<Record<string, number>> = {
  startsWith: stepCosts.text,
  endsWith: stepCosts.text,
  contains: stepCosts.search,
};
const quantifiers: readonly string[] = ["all", "exists", "exists_one", "filter"];
const allowedWords = `${Object.keys(methods).join(", ")}, size, ${quantifiers.join(", ")}`;

const intMaximum = 9_223_372_036_854_775_807n;

/**
 * Parses and types an expression. It must give a truth. Throws `ExpressionFault` where it is not in
 * the language, names something unknown, or does not fit its types.
 */
export function checkExpression(
  text: string,
  signals: ReadonlyMap<string, SignalType>,
): CheckedExpression {
  const parsed = parse(text, environmentOf(signals));
  const part = new Typing(signals).part(parsed.ast, new Map());
  if (part.type !== "bool") throw at(parsed.ast, `it gives ${part.type}; a rule needs a bool`);
  const judged = parsed.check();
  if (!judged.valid) throw at(parsed.ast, judged.error?.summary ?? "it does not fit its types");
  return { stepCount: part.steps, evaluate: (context) => parsed(context) as unknown };
}

function parse(text: string, environment: Environment) {
  if (text.length > expressionMaximum)
    throw new ExpressionFault(`it is longer than ${expressionMaximum} characters`, 0, text.length);
  try {
    return environment.parse(text);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    const start = error.range?.start ?? 0;
    throw new ExpressionFault(error.summary, start, error.range?.end ?? start + 1);
  }
}

/** Dotted names become objects: `parameter.steps` is the member `steps` of `parameter`. */
function environmentOf(signals: ReadonlyMap<string, SignalType>): Environment {
  const environment = new Environment({ limits });
  const declare = (name: string, work: () => void) => {
    try {
      work();
    } catch {
      throw new ExpressionFault(`the library knows ${name} as something else`, 0, 0);
    }
  };
  const groups = new Map<string, Record<string, SignalType>>();
  for (const [name, type] of signals) {
    const [first, second] = name.split(".") as [string, string | undefined];
    if (second === undefined) declare(first, () => environment.registerVariable(first, type));
    else groups.set(first, { ...groups.get(first), [second]: type });
  }
  for (const [name, schema] of groups)
    declare(name, () => environment.registerVariable({ name, schema }));
  return environment;
}

const at = (node: ASTNode, reason: string, suggestion: string | null = null) =>
  new ExpressionFault(reason, node.range.start, node.range.end, suggestion);

/** Loop variables and their types, innermost last. */
type Scope = ReadonlyMap<string, SignalType>;

const part = (type: SignalType, steps: number, items = 0): Part => ({ type, steps, items });

class Typing {
  constructor(readonly signals: ReadonlyMap<string, SignalType>) {}

  part(node: ASTNode, scope: Scope): Part {
    switch (node.op) {
      case "value":
        return this.literal(node);
      case "id":
      case ".":
        return this.name(node, scope);
      case "list":
        return this.list(node, node.args, scope);
      case "[]":
        return this.item(node, node.args, scope);
      case "!_":
        return part("bool", this.operand(node.args, "bool", scope) + 1);
      case "-_":
        return part("int", this.operand(node.args, "int", scope) + 1);
      case "&&":
      case "||":
        return part("bool", this.operands(node.args, "bool", scope));
      case "+":
      case "-":
      case "*":
      case "/":
      case "%":
        return part("int", this.operands(node.args, "int", scope));
      case "<":
      case "<=":
      case ">":
      case ">=":
        return part("bool", this.operands(node.args, "int", scope));
      case "==":
      case "!=":
        return this.equality(node, node.args, scope);
      case "in":
        return this.membership(node, node.args, scope);
      case "?:":
        return this.choice(node, node.args, scope);
      case "call":
        return this.call(node, node.args, scope);
      case "rcall":
        return this.method(node, node.args, scope);
      case "map":
      case ".?":
      case "[?]":
      default:
        throw at(node, "this is not part of the rule language");
    }
  }

  private literal(node: ASTNode & { op: "value" }): Part {
    const value = node.args;
    if (typeof value === "boolean") return part("bool", 1);
    if (typeof value === "string") return part("string", 1);
    if (typeof value === "number") throw at(node, "a fraction is not part of the rule language");
    if (typeof value !== "bigint")
      throw at(node, "only truths, integers and texts are part of the rule language");
    if (value > intMaximum) throw at(node, "the integer does not fit into 64 bits");
    return part("int", 1);
  }

  private name(node: ASTNode, scope: Scope): Part {
    const name = dotted(node);
    if (name === null) throw at(node, "only signals have members");
    const type = scope.get(name) ?? this.signals.get(name);
    if (type !== undefined) return part(type, 1, listMaximum);
    const known = [...scope.keys(), ...this.signals.keys()];
    throw at(node, `there is no signal ${name}`, nearest(name, known));
  }

  private list(node: ASTNode, items: readonly ASTNode[], scope: Scope): Part {
    const parts = items.map((item) => this.part(item, scope));
    const type = parts[0]?.type;
    if (type === undefined) throw at(node, "an empty list has no type; use size(…) == 0");
    const isEven = parts.every((each) => each.type === type);
    if (!isEven || (type !== "int" && type !== "string"))
      throw at(node, "a list holds integers or texts, all of one type");
    return part(`list<${type}>`, sum(parts) + 1, parts.length);
  }

  private item(node: ASTNode, [list, index]: readonly [ASTNode, ASTNode], scope: Scope): Part {
    const { type, steps } = this.part(list, scope);
    const item = itemOf(type);
    if (item === null) throw at(node, "only a list has items");
    return part(item, steps + this.operand(index, "int", scope) + 1);
  }

  private equality(node: ASTNode, [left, right]: readonly [ASTNode, ASTNode], scope: Scope): Part {
    const parts = [this.part(left, scope), this.part(right, scope)] as const;
    if (parts[0].type !== parts[1].type)
      throw at(node, `${parts[0].type} and ${parts[1].type} are never equal`);
    const items = Math.max(1, Math.min(parts[0].items, parts[1].items));
    const isList = itemOf(parts[0].type) !== null;
    return part("bool", sum(parts) + stepCosts.text * (isList ? items : 1));
  }

  private membership(node: ASTNode, [one, list]: readonly [ASTNode, ASTNode], scope: Scope): Part {
    const parts = [this.part(one, scope), this.part(list, scope)] as const;
    if (itemOf(parts[1].type) !== parts[0].type)
      throw at(node, `${parts[0].type} cannot be in ${parts[1].type}`);
    return part("bool", sum(parts) + stepCosts.text * Math.max(1, parts[1].items));
  }

  private choice(
    node: ASTNode,
    [condition, yes, no]: readonly [ASTNode, ASTNode, ASTNode],
    scope: Scope,
  ): Part {
    const steps = this.operand(condition, "bool", scope);
    const parts = [this.part(yes, scope), this.part(no, scope)] as const;
    if (parts[0].type !== parts[1].type)
      throw at(
        node,
        `both outcomes of ?: must be of one type, not ${parts[0].type} and ${parts[1].type}`,
      );
    return part(parts[0].type, steps + sum(parts) + 1, Math.max(parts[0].items, parts[1].items));
  }

  private call(node: ASTNode, [name, given]: readonly [string, readonly ASTNode[]], scope: Scope) {
    const [only] = given;
    if (name !== "size" || only === undefined || given.length > 1) throw notAllowed(node, name);
    return this.size(node, only, scope);
  }

  private size(node: ASTNode, of: ASTNode, scope: Scope): Part {
    const { type, steps } = this.part(of, scope);
    if (type !== "string" && itemOf(type) === null) throw at(node, `${type} has no size`);
    return part("int", steps + stepCosts.textSize);
  }

  private method(
    node: ASTNode,
    [name, receiver, given]: readonly [string, ASTNode, readonly ASTNode[]],
    scope: Scope,
  ): Part {
    const [first, second] = given;
    if (name === "size" && first === undefined) return this.size(node, receiver, scope);
    if (quantifiers.includes(name) && first && second)
      return this.loop(node, name, receiver, [first, second], scope);
    const steps = Object.hasOwn(methods, name) ? methods[name] : undefined;
    if (steps === undefined || first === undefined || second !== undefined)
      throw notAllowed(node, name);
    const read = this.operand(receiver, "string", scope) + this.operand(first, "string", scope);
    return part("bool", read + steps);
  }

  /** A loop takes its body's steps once per item, and a list has at most so many items. */
  private loop(
    node: ASTNode,
    name: string,
    receiver: ASTNode,
    [variable, body]: readonly [ASTNode, ASTNode],
    scope: Scope,
  ): Part {
    const list = this.part(receiver, scope);
    const item = itemOf(list.type);
    if (item === null) throw at(node, `${name} goes over a list, not over ${list.type}`);
    const called = variable.op === "id" ? variable.args : "";
    if (whyNotDeclarable(called) !== null)
      throw at(variable, `${name} needs a variable's name first`);
    const isTaken =
      scope.has(called) || [...this.signals.keys()].some((each) => each.split(".")[0] === called);
    if (isTaken) throw at(variable, `${called} is already the name of something else`);
    const inside = new Map([...scope, [called, item] as const]);
    const steps = this.operand(body, "bool", inside);
    const total = list.steps + list.items * (steps + 1) + 1;
    return name === "filter" ? part(list.type, total, list.items) : part("bool", total);
  }

  private operand(node: ASTNode, type: SignalType, scope: Scope): number {
    const found = this.part(node, scope);
    if (found.type !== type) throw at(node, `${type} was expected, not ${found.type}`);
    return found.steps;
  }

  private operands(nodes: readonly ASTNode[], type: SignalType, scope: Scope): number {
    return nodes.reduce((steps, node) => steps + this.operand(node, type, scope), 1);
  }
}

const sum = (parts: readonly Part[]) => parts.reduce((steps, each) => steps + each.steps, 0);

function itemOf(type: SignalType): "string" | "int" | null {
  if (type === "list<string>") return "string";
  return type === "list<int>" ? "int" : null;
}

/** `caller.trust` of a chain of names, or null where it is something else. */
function dotted(node: ASTNode): string | null {
  if (node.op === "id") return node.args;
  if (node.op !== ".") return null;
  const before = dotted(node.args[0]);
  return before === null ? null : `${before}.${node.args[1]}`;
}

function notAllowed(node: ASTNode, name: string): ExpressionFault {
  return at(node, `${name}(…) is not part of the rule language, which has ${allowedWords}`);
}
