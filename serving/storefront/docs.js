// The API reference, drawn from /openapi.json without help from other hosts.

const docs = document.getElementById("docs");
const openapi = await (await fetch("/openapi.json")).json();

function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

function resolve(schema) {
  while (schema?.$ref) schema = openapi.components.schemas[schema.$ref.split("/").pop()];
  return schema ?? {};
}

function typeName(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map(typeName).join(" | ");
  if (schema.type === "array") return `list of ${typeName(schema.items ?? {})}`;
  if (schema.type === "object" && schema.additionalProperties) return `map of ${typeName(schema.additionalProperties)}`;
  return schema.format === "binary" ? "file" : schema.type ?? "any";
}

function bounds({ minimum, maximum, minLength, maxLength, default: fallback }) {
  const parts = [];
  if (minimum !== undefined || maximum !== undefined) parts.push(`${minimum ?? ""}…${maximum ?? ""}`);
  if (minLength !== undefined || maxLength !== undefined) parts.push(`${minLength ?? 0}…${maxLength ?? ""} characters`);
  if (fallback !== undefined && fallback !== null) parts.push(`default ${fallback}`);
  return parts.join(", ");
}

function fields(schema) {
  const target = schema.type === "array" ? resolve(schema.items) : schema;
  const table = make("table");
  for (const [name, field] of Object.entries(target.properties ?? {})) {
    const row = table.insertRow();
    row.insertCell().textContent = name + (target.required?.includes(name) ? " *" : "");
    row.insertCell().textContent = typeName(field);
    row.insertCell().textContent = [field.description, bounds(field)].filter(Boolean).join(" · ");
  }
  return table;
}

function section(title, ...content) {
  return [make("h3", title), ...content];
}

function body(operation) {
  const parts = [];
  const extra = operation.description?.split("\n\n").slice(1).join(" ");
  if (extra) parts.push(make("p", extra));
  for (const parameter of operation.parameters ?? []) {
    parts.push(...section(`${parameter.in}: ${parameter.name}`, make("p", [typeName(parameter.schema), bounds(parameter.schema)].filter(Boolean).join(" · "))));
  }
  for (const [media, { schema }] of Object.entries(operation.requestBody?.content ?? {})) {
    const full = resolve(schema);
    parts.push(...section(`Send ${media}`, fields(full)));
    const example = (full.type === "array" ? resolve(full.items) : full).examples?.[0];
    if (example) parts.push(make("pre", JSON.stringify(example, null, 2)));
  }
  const answers = make("table");
  for (const [status, response] of Object.entries(operation.responses)) {
    const row = answers.insertRow();
    row.insertCell().textContent = status;
    row.insertCell().textContent = Object.keys(response.content ?? {}).join(", ");
    row.insertCell().textContent = response.description;
  }
  parts.push(...section("Answers", answers));
  const success = Object.entries(operation.responses).find(([status]) => status.startsWith("2"))?.[1];
  const shape = resolve(success?.content?.["application/json"]?.schema);
  if (shape.properties) parts.push(...section("Fields of the answer", fields(shape)));
  return parts;
}

function route(path, verb, operation) {
  const details = make("details", "", "route");
  const summary = make("summary");
  summary.append(make("b", verb.toUpperCase(), `verb ${verb}`), make("code", path), make("span", operation.description?.split("\n\n")[0] ?? ""));
  const content = make("div", "", "route-body");
  content.append(...body(operation));
  details.append(summary, content);
  return details;
}

const groups = new Map();
for (const [path, verbs] of Object.entries(openapi.paths)) {
  for (const [verb, operation] of Object.entries(verbs)) {
    const group = operation.tags?.[0] ?? "other";
    groups.set(group, [...(groups.get(group) ?? []), route(path, verb, operation)]);
  }
}
docs.append(make("h1", openapi.info.summary), make("p", openapi.info.description));
for (const [group, routes] of groups) docs.append(make("h2", group), ...routes);
docs.setAttribute("aria-busy", "false");
