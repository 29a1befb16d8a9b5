-- CreateIndex
CREATE INDEX "Picture_tenant_perceptualHash_idx" ON "Picture"("tenant", "perceptualHash");
