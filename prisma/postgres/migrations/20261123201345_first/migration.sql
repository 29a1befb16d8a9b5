-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateTable
CREATE TABLE "User" (
    "id" TEXT NOT NULL,
    "platform" TEXT NOT NULL,
    "externalId" TEXT NOT NULL,
    "name" TEXT,
    "locale" TEXT,
    "createdAt" BIGINT NOT NULL,

    CONSTRAINT "User_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Chat" (
    "id" TEXT NOT NULL,
    "platform" TEXT NOT NULL,
    "externalId" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "guildId" TEXT,
    "title" TEXT,
    "pinnedAdapter" TEXT,
    "createdAt" BIGINT NOT NULL,

    CONSTRAINT "Chat_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Conversation" (
    "id" TEXT NOT NULL,
    "chatId" TEXT NOT NULL,
    "title" TEXT,
    "nextSeq" INTEGER NOT NULL DEFAULT 1,
    "createdAt" BIGINT NOT NULL,
    "updatedAt" BIGINT NOT NULL,
    "closedAt" BIGINT,
    "openKey" TEXT,

    CONSTRAINT "Conversation_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Turn" (
    "id" TEXT NOT NULL,
    "conversationId" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "role" TEXT NOT NULL,
    "authorId" TEXT,
    "key" TEXT,
    "createdAt" BIGINT NOT NULL,
    "editedAt" BIGINT,

    CONSTRAINT "Turn_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "TurnPart" (
    "turnId" TEXT NOT NULL,
    "position" INTEGER NOT NULL,
    "type" TEXT NOT NULL,
    "text" TEXT,
    "imageHash" TEXT,
    "pictureId" TEXT,
    "alt" TEXT,

    CONSTRAINT "TurnPart_pkey" PRIMARY KEY ("turnId","position")
);

-- CreateTable
CREATE TABLE "MessageLink" (
    "chatId" TEXT NOT NULL,
    "messageId" TEXT NOT NULL,
    "turnId" TEXT NOT NULL,

    CONSTRAINT "MessageLink_pkey" PRIMARY KEY ("chatId","messageId")
);

-- CreateTable
CREATE TABLE "Answer" (
    "id" TEXT NOT NULL,
    "turnId" TEXT NOT NULL,
    "conversationId" TEXT NOT NULL,
    "questionTurnId" TEXT,
    "seed" BIGINT NOT NULL,
    "options" TEXT NOT NULL,
    "adapter" TEXT NOT NULL,
    "model" TEXT NOT NULL,
    "retProbability" DOUBLE PRECISION NOT NULL,
    "endReason" TEXT NOT NULL,
    "usage" TEXT,
    "createdAt" BIGINT NOT NULL,

    CONSTRAINT "Answer_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "AnswerRet" (
    "answerId" TEXT NOT NULL,
    "position" INTEGER NOT NULL,
    "embedding" BYTEA NOT NULL,
    "after" INTEGER NOT NULL,
    "probability" DOUBLE PRECISION NOT NULL,

    CONSTRAINT "AnswerRet_pkey" PRIMARY KEY ("answerId","position")
);

-- CreateTable
CREATE TABLE "AnswerPicture" (
    "answerId" TEXT NOT NULL,
    "position" INTEGER NOT NULL,
    "ret" INTEGER NOT NULL,
    "pictureId" TEXT NOT NULL,
    "score" DOUBLE PRECISION NOT NULL,

    CONSTRAINT "AnswerPicture_pkey" PRIMARY KEY ("answerId","position")
);

-- CreateTable
CREATE TABLE "Vote" (
    "answerId" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "value" TEXT NOT NULL,
    "at" BIGINT NOT NULL,

    CONSTRAINT "Vote_pkey" PRIMARY KEY ("answerId","userId")
);

-- CreateTable
CREATE TABLE "Correction" (
    "answerId" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "pictureId" TEXT,
    "text" TEXT,
    "at" BIGINT NOT NULL,

    CONSTRAINT "Correction_pkey" PRIMARY KEY ("answerId","userId","kind","subject")
);

-- CreateTable
CREATE TABLE "Consent" (
    "id" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "purpose" TEXT NOT NULL,
    "chatId" TEXT,
    "platform" TEXT NOT NULL,
    "grantedAt" BIGINT NOT NULL,
    "revokedAt" BIGINT,
    "activeKey" TEXT,

    CONSTRAINT "Consent_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Image" (
    "hash" TEXT NOT NULL,
    "byteSize" INTEGER NOT NULL,
    "mimeType" TEXT NOT NULL,
    "width" INTEGER NOT NULL,
    "height" INTEGER NOT NULL,
    "perceptualHash" TEXT,
    "alt" TEXT,
    "caption" TEXT,
    "source" TEXT,
    "licence" TEXT,
    "addedById" TEXT,
    "contentClass" TEXT NOT NULL,
    "createdAt" BIGINT NOT NULL,
    "touchedAt" BIGINT NOT NULL,

    CONSTRAINT "Image_pkey" PRIMARY KEY ("hash")
);

-- CreateTable
CREATE TABLE "Picture" (
    "id" TEXT NOT NULL,
    "imageHash" TEXT,
    "tenant" TEXT NOT NULL,
    "alt" TEXT NOT NULL,
    "caption" TEXT,
    "source" TEXT,
    "licence" TEXT,
    "addedById" TEXT,
    "addedAt" BIGINT NOT NULL,
    "contentClass" TEXT NOT NULL,
    "mimeType" TEXT NOT NULL,
    "width" INTEGER NOT NULL,
    "height" INTEGER NOT NULL,
    "perceptualHash" TEXT,
    "url" TEXT,
    "dead" BOOLEAN NOT NULL DEFAULT false,

    CONSTRAINT "Picture_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "PictureTag" (
    "pictureId" TEXT NOT NULL,
    "tag" TEXT NOT NULL,

    CONSTRAINT "PictureTag_pkey" PRIMARY KEY ("pictureId","tag")
);

-- CreateTable
CREATE TABLE "PooledFeature" (
    "encoder" TEXT NOT NULL,
    "pictureId" TEXT NOT NULL,
    "values" BYTEA NOT NULL,

    CONSTRAINT "PooledFeature_pkey" PRIMARY KEY ("encoder","pictureId")
);

-- CreateTable
CREATE TABLE "PictureVector" (
    "projection" TEXT NOT NULL,
    "pictureId" TEXT NOT NULL,
    "values" BYTEA NOT NULL,

    CONSTRAINT "PictureVector_pkey" PRIMARY KEY ("projection","pictureId")
);

-- CreateTable
CREATE TABLE "DeniedPicture" (
    "perceptualHash" TEXT NOT NULL,
    "reason" TEXT,
    "addedById" TEXT,
    "at" BIGINT NOT NULL,

    CONSTRAINT "DeniedPicture_pkey" PRIMARY KEY ("perceptualHash")
);

-- CreateTable
CREATE TABLE "Setting" (
    "scope" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "value" TEXT NOT NULL,

    CONSTRAINT "Setting_pkey" PRIMARY KEY ("scope","key")
);

-- CreateTable
CREATE TABLE "Cursor" (
    "name" TEXT NOT NULL,
    "value" TEXT NOT NULL,
    "updatedAt" BIGINT NOT NULL,

    CONSTRAINT "Cursor_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "LimitWindow" (
    "key" TEXT NOT NULL,
    "hits" TEXT NOT NULL,
    "updatedAt" BIGINT NOT NULL,

    CONSTRAINT "LimitWindow_pkey" PRIMARY KEY ("key")
);

-- CreateTable
CREATE TABLE "Ban" (
    "id" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "chatId" TEXT,
    "scope" TEXT NOT NULL,
    "byId" TEXT,
    "reason" TEXT,
    "at" BIGINT NOT NULL,
    "until" BIGINT,

    CONSTRAINT "Ban_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "Lane" (
    "queue" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "platform" TEXT NOT NULL,
    "readyAt" BIGINT,
    "owner" TEXT,
    "leaseUntil" BIGINT,
    "fence" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "Lane_pkey" PRIMARY KEY ("queue","key")
);

-- CreateTable
CREATE TABLE "InboxUpdate" (
    "id" SERIAL NOT NULL,
    "platform" TEXT NOT NULL,
    "updateId" TEXT NOT NULL,
    "lane" TEXT NOT NULL,
    "payload" TEXT,
    "externalUserId" TEXT,
    "state" TEXT NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "availableAt" BIGINT NOT NULL,
    "receivedAt" BIGINT NOT NULL,
    "finishedAt" BIGINT,
    "error" TEXT,

    CONSTRAINT "InboxUpdate_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "OutboxMessage" (
    "id" SERIAL NOT NULL,
    "key" TEXT NOT NULL,
    "lane" TEXT NOT NULL,
    "platform" TEXT NOT NULL,
    "chatId" TEXT NOT NULL,
    "turnId" TEXT,
    "userId" TEXT,
    "payload" TEXT,
    "nonce" TEXT NOT NULL,
    "idempotent" BOOLEAN NOT NULL,
    "state" TEXT NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "availableAt" BIGINT NOT NULL,
    "createdAt" BIGINT NOT NULL,
    "finishedAt" BIGINT,
    "error" TEXT,

    CONSTRAINT "OutboxMessage_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "OutboxSend" (
    "messageId" INTEGER NOT NULL,
    "attempt" INTEGER NOT NULL,
    "startedAt" BIGINT NOT NULL,
    "finishedAt" BIGINT,
    "outcome" TEXT NOT NULL,
    "error" TEXT,
    "platformMessageIds" TEXT,

    CONSTRAINT "OutboxSend_pkey" PRIMARY KEY ("messageId","attempt")
);

-- CreateTable
CREATE TABLE "AdapterVersion" (
    "id" TEXT NOT NULL,
    "parentId" TEXT,
    "folder" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "visualHash" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "servingKey" INTEGER,
    "trainSetId" TEXT,
    "runId" TEXT,
    "metrics" TEXT NOT NULL,
    "verdict" TEXT,
    "createdAt" BIGINT NOT NULL,
    "forgottenRows" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "AdapterVersion_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "AdapterPromotion" (
    "id" SERIAL NOT NULL,
    "adapterId" TEXT NOT NULL,
    "previousId" TEXT,
    "kind" TEXT NOT NULL,
    "byId" TEXT,
    "why" TEXT,
    "at" BIGINT NOT NULL,

    CONSTRAINT "AdapterPromotion_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "TrainSet" (
    "id" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "rowCount" INTEGER NOT NULL,
    "removedRows" INTEGER NOT NULL DEFAULT 0,
    "facts" TEXT NOT NULL,
    "createdAt" BIGINT NOT NULL,
    "usedAt" BIGINT,

    CONSTRAINT "TrainSet_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "TrainRow" (
    "trainSetId" TEXT NOT NULL,
    "position" INTEGER NOT NULL,
    "kind" TEXT NOT NULL,
    "split" TEXT NOT NULL,
    "weight" DOUBLE PRECISION NOT NULL,
    "text" TEXT,
    "imageHash" TEXT,
    "pictureId" TEXT,
    "extra" TEXT,
    "userId" TEXT,
    "consentId" TEXT,
    "platform" TEXT,
    "chatId" TEXT,
    "answerId" TEXT,
    "origin" TEXT NOT NULL,
    "contentClass" TEXT NOT NULL,

    CONSTRAINT "TrainRow_pkey" PRIMARY KEY ("trainSetId","position")
);

-- CreateTable
CREATE TABLE "TrainingRun" (
    "id" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "why" TEXT,
    "requestedById" TEXT,
    "trainSetId" TEXT,
    "parentAdapterId" TEXT,
    "config" TEXT NOT NULL,
    "folder" TEXT,
    "step" INTEGER NOT NULL DEFAULT 0,
    "totalSteps" INTEGER,
    "error" TEXT,
    "createdAt" BIGINT NOT NULL,
    "startedAt" BIGINT,
    "finishedAt" BIGINT,

    CONSTRAINT "TrainingRun_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "RunPoint" (
    "runId" TEXT NOT NULL,
    "step" INTEGER NOT NULL,
    "at" BIGINT NOT NULL,
    "values" TEXT NOT NULL,

    CONSTRAINT "RunPoint_pkey" PRIMARY KEY ("runId","step")
);

-- CreateTable
CREATE TABLE "Job" (
    "id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "payload" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "progress" TEXT,
    "result" TEXT,
    "error" TEXT,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "cancelRequested" BOOLEAN NOT NULL DEFAULT false,
    "requestedById" TEXT,
    "activeKey" TEXT,
    "owner" TEXT,
    "leaseUntil" BIGINT,
    "fence" INTEGER NOT NULL DEFAULT 0,
    "createdAt" BIGINT NOT NULL,
    "finishedAt" BIGINT,

    CONSTRAINT "Job_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "User_platform_externalId_key" ON "User"("platform", "externalId");

-- CreateIndex
CREATE UNIQUE INDEX "Chat_platform_externalId_key" ON "Chat"("platform", "externalId");

-- CreateIndex
CREATE UNIQUE INDEX "Conversation_openKey_key" ON "Conversation"("openKey");

-- CreateIndex
CREATE INDEX "Conversation_chatId_updatedAt_idx" ON "Conversation"("chatId", "updatedAt");

-- CreateIndex
CREATE INDEX "Turn_authorId_idx" ON "Turn"("authorId");

-- CreateIndex
CREATE UNIQUE INDEX "Turn_conversationId_seq_key" ON "Turn"("conversationId", "seq");

-- CreateIndex
CREATE UNIQUE INDEX "Turn_conversationId_key_key" ON "Turn"("conversationId", "key");

-- CreateIndex
CREATE INDEX "TurnPart_imageHash_idx" ON "TurnPart"("imageHash");

-- CreateIndex
CREATE INDEX "MessageLink_turnId_idx" ON "MessageLink"("turnId");

-- CreateIndex
CREATE UNIQUE INDEX "Answer_turnId_key" ON "Answer"("turnId");

-- CreateIndex
CREATE INDEX "Answer_questionTurnId_idx" ON "Answer"("questionTurnId");

-- CreateIndex
CREATE INDEX "Answer_conversationId_idx" ON "Answer"("conversationId");

-- CreateIndex
CREATE INDEX "AnswerPicture_pictureId_idx" ON "AnswerPicture"("pictureId");

-- CreateIndex
CREATE INDEX "Vote_at_idx" ON "Vote"("at");

-- CreateIndex
CREATE INDEX "Vote_userId_idx" ON "Vote"("userId");

-- CreateIndex
CREATE INDEX "Correction_at_idx" ON "Correction"("at");

-- CreateIndex
CREATE INDEX "Correction_userId_idx" ON "Correction"("userId");

-- CreateIndex
CREATE UNIQUE INDEX "Consent_activeKey_key" ON "Consent"("activeKey");

-- CreateIndex
CREATE INDEX "Consent_userId_purpose_idx" ON "Consent"("userId", "purpose");

-- CreateIndex
CREATE INDEX "Image_addedById_idx" ON "Image"("addedById");

-- CreateIndex
CREATE INDEX "Image_touchedAt_idx" ON "Image"("touchedAt");

-- CreateIndex
CREATE INDEX "Picture_tenant_imageHash_idx" ON "Picture"("tenant", "imageHash");

-- CreateIndex
CREATE INDEX "Picture_imageHash_idx" ON "Picture"("imageHash");

-- CreateIndex
CREATE INDEX "Picture_addedById_idx" ON "Picture"("addedById");

-- CreateIndex
CREATE INDEX "PictureTag_tag_idx" ON "PictureTag"("tag");

-- CreateIndex
CREATE INDEX "PooledFeature_pictureId_idx" ON "PooledFeature"("pictureId");

-- CreateIndex
CREATE INDEX "PictureVector_pictureId_idx" ON "PictureVector"("pictureId");

-- CreateIndex
CREATE INDEX "LimitWindow_updatedAt_idx" ON "LimitWindow"("updatedAt");

-- CreateIndex
CREATE UNIQUE INDEX "Ban_scope_key" ON "Ban"("scope");

-- CreateIndex
CREATE INDEX "Ban_userId_idx" ON "Ban"("userId");

-- CreateIndex
CREATE INDEX "Lane_queue_readyAt_idx" ON "Lane"("queue", "readyAt");

-- CreateIndex
CREATE INDEX "InboxUpdate_lane_state_id_idx" ON "InboxUpdate"("lane", "state", "id");

-- CreateIndex
CREATE INDEX "InboxUpdate_state_finishedAt_idx" ON "InboxUpdate"("state", "finishedAt");

-- CreateIndex
CREATE UNIQUE INDEX "InboxUpdate_platform_updateId_key" ON "InboxUpdate"("platform", "updateId");

-- CreateIndex
CREATE UNIQUE INDEX "OutboxMessage_key_key" ON "OutboxMessage"("key");

-- CreateIndex
CREATE INDEX "OutboxMessage_lane_state_id_idx" ON "OutboxMessage"("lane", "state", "id");

-- CreateIndex
CREATE INDEX "OutboxMessage_state_finishedAt_idx" ON "OutboxMessage"("state", "finishedAt");

-- CreateIndex
CREATE INDEX "OutboxMessage_turnId_idx" ON "OutboxMessage"("turnId");

-- CreateIndex
CREATE INDEX "OutboxMessage_userId_idx" ON "OutboxMessage"("userId");

-- CreateIndex
CREATE UNIQUE INDEX "AdapterVersion_servingKey_key" ON "AdapterVersion"("servingKey");

-- CreateIndex
CREATE INDEX "AdapterVersion_trainSetId_idx" ON "AdapterVersion"("trainSetId");

-- CreateIndex
CREATE INDEX "TrainRow_userId_idx" ON "TrainRow"("userId");

-- CreateIndex
CREATE INDEX "TrainRow_pictureId_idx" ON "TrainRow"("pictureId");

-- CreateIndex
CREATE INDEX "TrainRow_imageHash_idx" ON "TrainRow"("imageHash");

-- CreateIndex
CREATE INDEX "TrainRow_consentId_idx" ON "TrainRow"("consentId");

-- CreateIndex
CREATE INDEX "TrainingRun_createdAt_idx" ON "TrainingRun"("createdAt");

-- CreateIndex
CREATE UNIQUE INDEX "Job_activeKey_key" ON "Job"("activeKey");

-- CreateIndex
CREATE INDEX "Job_state_kind_createdAt_idx" ON "Job"("state", "kind", "createdAt");

-- AddForeignKey
ALTER TABLE "Conversation" ADD CONSTRAINT "Conversation_chatId_fkey" FOREIGN KEY ("chatId") REFERENCES "Chat"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Turn" ADD CONSTRAINT "Turn_conversationId_fkey" FOREIGN KEY ("conversationId") REFERENCES "Conversation"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Turn" ADD CONSTRAINT "Turn_authorId_fkey" FOREIGN KEY ("authorId") REFERENCES "User"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "TurnPart" ADD CONSTRAINT "TurnPart_turnId_fkey" FOREIGN KEY ("turnId") REFERENCES "Turn"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "MessageLink" ADD CONSTRAINT "MessageLink_chatId_fkey" FOREIGN KEY ("chatId") REFERENCES "Chat"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "MessageLink" ADD CONSTRAINT "MessageLink_turnId_fkey" FOREIGN KEY ("turnId") REFERENCES "Turn"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Answer" ADD CONSTRAINT "Answer_turnId_fkey" FOREIGN KEY ("turnId") REFERENCES "Turn"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Answer" ADD CONSTRAINT "Answer_conversationId_fkey" FOREIGN KEY ("conversationId") REFERENCES "Conversation"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Answer" ADD CONSTRAINT "Answer_questionTurnId_fkey" FOREIGN KEY ("questionTurnId") REFERENCES "Turn"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "AnswerRet" ADD CONSTRAINT "AnswerRet_answerId_fkey" FOREIGN KEY ("answerId") REFERENCES "Answer"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "AnswerPicture" ADD CONSTRAINT "AnswerPicture_answerId_fkey" FOREIGN KEY ("answerId") REFERENCES "Answer"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Vote" ADD CONSTRAINT "Vote_answerId_fkey" FOREIGN KEY ("answerId") REFERENCES "Answer"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Vote" ADD CONSTRAINT "Vote_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Correction" ADD CONSTRAINT "Correction_answerId_fkey" FOREIGN KEY ("answerId") REFERENCES "Answer"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Correction" ADD CONSTRAINT "Correction_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Consent" ADD CONSTRAINT "Consent_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "PictureTag" ADD CONSTRAINT "PictureTag_pictureId_fkey" FOREIGN KEY ("pictureId") REFERENCES "Picture"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "PooledFeature" ADD CONSTRAINT "PooledFeature_pictureId_fkey" FOREIGN KEY ("pictureId") REFERENCES "Picture"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "PictureVector" ADD CONSTRAINT "PictureVector_pictureId_fkey" FOREIGN KEY ("pictureId") REFERENCES "Picture"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "Ban" ADD CONSTRAINT "Ban_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "OutboxSend" ADD CONSTRAINT "OutboxSend_messageId_fkey" FOREIGN KEY ("messageId") REFERENCES "OutboxMessage"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "TrainRow" ADD CONSTRAINT "TrainRow_trainSetId_fkey" FOREIGN KEY ("trainSetId") REFERENCES "TrainSet"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "RunPoint" ADD CONSTRAINT "RunPoint_runId_fkey" FOREIGN KEY ("runId") REFERENCES "TrainingRun"("id") ON DELETE CASCADE ON UPDATE CASCADE;
