// What of the lessons stands in the address: which one, what its controls stand on, the step, the language.

const FIELD = "l.";

/**
 * @typedef {{lesson: string, language: string|null, theme: string, step: number, values: Object<string, string>}} LessonWish
 */

/** @param {string} text @returns {LessonWish|null} nothing where the address is not of a lesson */
export function lessonOfAddress(text) {
  const fields = new URLSearchParams(text.replace(/^#/, ""));
  if (!fields.has("lesson")) return null;
  /** @type {Object<string, string>} */
  const values = {};
  for (const [name, value] of fields) if (name.startsWith(FIELD)) values[name.slice(FIELD.length)] = value;
  const step = Number(fields.get("step"));
  const theme = fields.get("theme");
  return {
    lesson: fields.get("lesson"), language: ["en", "zh"].includes(fields.get("lang")) ? fields.get("lang") : null,
    theme: theme === "light" || theme === "dark" ? theme : "auto", step: Number.isInteger(step) && step > 0 ? step : 0, values,
  };
}

/** @param {LessonWish} wish */
export function addressOfLesson({ lesson, language, theme, step, values }) {
  const fields = new URLSearchParams({ lesson, lang: language });
  if (theme !== "auto") fields.set("theme", theme);
  for (const [name, value] of Object.entries(values)) fields.set(FIELD + name, String(value));
  if (step) fields.set("step", String(step));
  return fields.toString();
}
