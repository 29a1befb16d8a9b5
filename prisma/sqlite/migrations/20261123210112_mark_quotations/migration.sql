-- AlterTable
ALTER TABLE "TurnPart" ADD COLUMN "quotedId" TEXT;

-- CreateIndex
CREATE INDEX "TurnPart_quotedId_idx" ON "TurnPart"("quotedId");
