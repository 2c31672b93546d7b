// The view library under one name. `html` makes nodes, never markup: a value in a template is text, whatever it holds.
import { createElement, Component, Fragment, render } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { useEffect, useLayoutEffect, useMemo, useRef, useState, useId } from "../vendor/preact-hooks.js";
export { Component, Fragment, render };
export const html = htm.bind(createElement);
