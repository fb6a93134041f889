-- Schema 6: a provider's id belongs to one order. Where two orders share one already, the earlier keeps it.
CREATE TABLE of_provider_ids (
    provider    TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    order_id    TEXT NOT NULL,
    PRIMARY KEY (provider, provider_id)
) WITHOUT ROWID;
INSERT INTO of_provider_ids (provider, provider_id, order_id)
SELECT provider, provider_id, id FROM (
    SELECT provider, provider_id, id, row_number() OVER (PARTITION BY provider, provider_id ORDER BY created_at, id) AS place
    FROM (SELECT provider, id, created_at, CAST(json_extract(data, '$.provider_id') AS TEXT) AS provider_id FROM of_orders) AS known
    WHERE provider_id IS NOT NULL
) AS ranked
WHERE place = 1;
