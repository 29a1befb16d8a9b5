// The part of the store that learning works with.
import type { ChatStore } from '../chat/contracts.ts';
import type { PictureStore } from '../retrieval/contracts.ts';
import type { LearningStore } from './contracts.ts';

export type LearningStores = LearningStore & Pick<ChatStore, 'conversations' | 'consents' | 'files' | 'votes' | 'settings'> & { readonly pictures: PictureStore };
