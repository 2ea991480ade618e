// Asks Microsoft's own KQL parser and binder about queries: JSON on stdin, JSON on stdout.
//
//   in:  {"package": folder of @kusto/language-service-next,
//         "queries": [{"query": text, "tables": {name: "(a:string, b:long)"}}]}
//   out: [{"errors": [text], "columns": [{"name": …, "type": …}] or null}]
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const input = JSON.parse(fs.readFileSync(0, "utf8"));
for (const file of ["bridge.min.js", "Kusto.Language.Bridge.min.js"]) {
  vm.runInThisContext(fs.readFileSync(path.join(input.package, file), "utf8"), { filename: file });
}
const { GlobalState, KustoCode, Symbols } = Kusto.Language;

function items(list) {
  const result = [];
  if (list) {
    for (const item of Bridge.toArray(list)) result.push(item);
  }
  return result;
}

function ask({ query, tables }) {
  const symbols = Object.entries(tables).map(([name, columns]) =>
    Symbols.TableSymbol.From(columns).WithName(name));
  const database = new Symbols.DatabaseSymbol.ctor("db", symbols);
  const globals = GlobalState.Default.WithDatabase(database);
  const code = KustoCode.ParseAndAnalyze(query, globals);
  const errors = items(code.GetDiagnostics())
    .filter((diagnostic) => diagnostic.Severity === "Error")
    .map((diagnostic) => diagnostic.Message);
  const type = code.ResultType;
  const columns = type && type.Columns
    ? items(type.Columns).map((column) => ({ name: column.Name, type: column.Type ? column.Type.Name : "unknown" }))
    : null;
  return { errors, columns };
}

process.stdout.write(JSON.stringify(input.queries.map(ask)));
