// What answers: the exported file, run by ONNX Runtime's WebAssembly. Nothing is sent anywhere.

import * as ort from "onnxruntime-web/wasm";

// beside the script, on any static server
ort.env.wasm.wasmPaths = { wasm: new URL("ort-wasm-simd-threaded.wasm", import.meta.url).href };
ort.env.wasm.numThreads = 1; // several need headers that a static server may not send

const texts = (values) => new ort.Tensor("string", values, [1, values.length]);

export class Shortlist {
  // more than any catalogue in a file has: the file answers with what it has
  everything = 1_000_000;

  static async load(model) {
    const shortlist = new Shortlist();
    shortlist.session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    return shortlist;
  }

  // liked: item ids, oldest first; resolves to [{ id, title, score }], best first
  async recommend(liked, k) {
    const answer = await this.session.run({
      user_id: new ort.Tensor("string", [""], [1]), // nobody that the model knows
      history: texts(liked.length ? liked : [""]), // "" is no item
      exclude: texts([""]),
      k: new ort.Tensor("int64", BigInt64Array.of(BigInt(k)), [1]),
    });
    const { item_ids: ids, titles, scores } = answer;
    return ids.data.map((id, place) => ({
      id,
      title: titles.data[place],
      score: scores.data[place],
    }));
  }
}
