// GET /v1/models: what is loaded, with the adapters beside each other and the one that serves.
import type { FastifyInstance } from 'fastify';
import { FromageError } from '../../errors.ts';
import type { WebOptions } from '../options.ts';

export function registerModels(app: FastifyInstance, { engine }: WebOptions): void {
  const started = Math.floor(Date.now() / 1000);
  const describe = async () => {
    const info = await engine.info();
    return { id: info.model, object: 'model', created: started, owned_by: 'fromage', family: info.family, device: info.device, weights: info.weights, context_window: info.contextWindow, serving_adapter: info.servingAdapter, adapters: info.adapters };
  };
  app.get('/v1/models', async () => ({ object: 'list', data: [await describe()] }));
  app.get<{ Params: { id: string } }>('/v1/models/:id', async ({ params }) => {
    const model = await describe();
    if (params.id !== model.id) throw new FromageError({ code: 'WEB_NOT_FOUND', what: `there is no model ${params.id.slice(0, 80)}`, todo: `use ${model.id}` });
    return model;
  });
}
