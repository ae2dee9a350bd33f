-- Artifacts, release tuples and the inventory derived from stored records (facts/core.md 6).

-- name: artifact_write
-- An artifact is immutable: only the tags of its image may change. No row: it is stored with other content.
INSERT INTO launchplane_artifact_manifests AS known (artifact_id, source_commit, image_repository, image_digest, payload)
VALUES ($1, $2, $3, $4, $5::json)
ON CONFLICT (artifact_id) DO UPDATE SET payload = excluded.payload
 WHERE known.source_commit = excluded.source_commit AND known.image_repository = excluded.image_repository
   AND known.image_digest = excluded.image_digest
   AND (excluded.payload::jsonb || known.payload::jsonb) - 'image' = excluded.payload::jsonb - 'image'
RETURNING 1;

-- name: release_tuple_read
SELECT payload FROM launchplane_release_tuples WHERE context = $1 AND channel = $2;

-- name: release_tuple_catalog
-- All tuples as TOML, for review.
WITH key AS (
    SELECT tuple_id, payload,
           CASE WHEN context ~ '^[A-Za-z0-9_-]+$' THEN context ELSE to_json(context)::text END AS context,
           CASE WHEN channel ~ '^[A-Za-z0-9_-]+$' THEN channel ELSE to_json(channel)::text END AS channel,
           row_number() OVER (ORDER BY context COLLATE "C", channel COLLATE "C") AS place
      FROM launchplane_release_tuples
     WHERE $1::text = '' OR context = $1)
SELECT 'schema_version = 1' || chr(10) || coalesce(string_agg(
           chr(10) || '[contexts.' || context || '.channels.' || channel || ']' || chr(10)
           || 'tuple_id = ' || to_json(tuple_id)::text || chr(10)
           || chr(10) || '[contexts.' || context || '.channels.' || channel || '.repo_shas]' || chr(10)
           || (SELECT string_agg(to_json(s.key)::text || ' = ' || to_json(s.value)::text || chr(10), '' ORDER BY s.key COLLATE "C")
                 FROM json_each_text(payload::json -> 'repo_shas') AS s(key, value)),
           '' ORDER BY place), '')
  FROM key;

-- name: inventory_derive
-- Makes a lane's inventory from a stored deployment: $2 of context $1. Answers its instance (null: not stored) and whether the
-- inventory was written; it is not when it names a later deployment.
WITH linked AS (
    SELECT d.record_id, d.payload, d.context, d.instance, d.artifact_id, d.source_git_ref
      FROM launchplane_deployments d
     WHERE d.record_id = $2 AND d.context = $1 AND ($6 = '' OR d.instance = $6)
       FOR NO KEY UPDATE),
written AS (
    INSERT INTO launchplane_inventory AS known
        (context, instance, artifact_id, source_git_ref, updated_at, deployment_record_id, promotion_record_id,
         promoted_from_instance, payload)
    SELECT l.context, l.instance, l.artifact_id, l.source_git_ref, $5, $2, $3, $4,
           launchplane_inventory_from(l.context, l.instance, l.source_git_ref, l.record_id, l.payload::json, $5, $3, $4)
      FROM linked l
    ON CONFLICT (context, instance) DO UPDATE
       SET artifact_id = excluded.artifact_id, source_git_ref = excluded.source_git_ref, updated_at = excluded.updated_at,
           deployment_record_id = excluded.deployment_record_id,
           promotion_record_id = CASE WHEN $3 = '' AND known.deployment_record_id = excluded.deployment_record_id
                                      THEN known.promotion_record_id ELSE $3 END,
           promoted_from_instance = CASE WHEN $3 = '' AND known.deployment_record_id = excluded.deployment_record_id
                                         THEN known.promoted_from_instance ELSE $4 END,
           payload = launchplane_inventory_over(
               excluded.payload::json, known.payload ->> 'bootstrap_record_id',
               CASE WHEN $3 = '' AND known.deployment_record_id = excluded.deployment_record_id
                    THEN known.promotion_record_id END,
               CASE WHEN $3 = '' AND known.deployment_record_id = excluded.deployment_record_id
                    THEN known.promoted_from_instance END)
     WHERE known.deployment_record_id = excluded.deployment_record_id
        OR NOT launchplane_came_after(coalesce(known.payload -> 'deploy' ->> 'started_at', ''),
                                      coalesce(known.payload -> 'deploy' ->> 'finished_at', ''),
                                      coalesce(excluded.payload -> 'deploy' ->> 'started_at', ''),
                                      coalesce(excluded.payload -> 'deploy' ->> 'finished_at', ''))
    RETURNING 1)
SELECT (SELECT instance FROM linked), EXISTS (SELECT 1 FROM written);

-- name: inventory_status
-- The current pointer of a lane, what it rests on, and the one before it.
SELECT json_build_object(
           'context', i.context, 'instance', i.instance, 'record', i.payload,
           'provenance', json_build_object(
               'deployment_record_id', i.deployment_record_id,
               'deployment_stored', EXISTS (SELECT 1 FROM launchplane_deployments d WHERE d.record_id = i.deployment_record_id),
               'promotion_record_id', i.promotion_record_id,
               'promoted_from_instance', i.promoted_from_instance,
               'bootstrap_record_id', coalesce(i.payload ->> 'bootstrap_record_id', ''),
               'artifact_manifest_stored',
               EXISTS (SELECT 1 FROM launchplane_artifact_manifests m WHERE m.artifact_id = i.artifact_id)),
           'release_tuple', t.payload,
           'release_tuple_matches', coalesce(t.artifact_id = i.artifact_id, false),
           'prior', (SELECT v.payload FROM launchplane_record_versions v
                      WHERE v.family = 'inventory' AND v.record_key = i.context || '/' || i.instance
                        AND v.payload ->> 'deployment_record_id' <> i.deployment_record_id
                      ORDER BY v.version_id DESC LIMIT 1))
  FROM launchplane_inventory i
  LEFT JOIN launchplane_release_tuples t ON t.context = i.context AND t.channel = i.instance
 WHERE i.context = $1 AND i.instance = $2;

-- name: artifacts_protected
-- What registry cleanup must not delete (facts/core.md 6.2). $1: product or '' for all; $2: context or ''.
WITH named AS (
    SELECT p.product, l.lane ->> 'context' AS context, false AS preview
      FROM launchplane_product_profiles p, json_array_elements(coalesce(p.payload::json -> 'lanes', '[]')) AS l(lane)
    UNION ALL
    SELECT p.product, p.payload::json -> 'preview' ->> 'context', true
      FROM launchplane_product_profiles p
     WHERE p.payload::json -> 'preview' ->> 'enabled' = 'true'),
owner AS (
    SELECT context, min(product COLLATE "C") AS product, bool_or(preview) AS has_previews FROM named WHERE context <> ''
     GROUP BY context),
scoped AS (
    SELECT c.context, coalesce(o.product, '') AS product, coalesce(o.has_previews, false) OR c.context = $2 AS has_previews
      FROM (SELECT context FROM launchplane_inventory UNION SELECT context FROM launchplane_release_tuples
            UNION SELECT context FROM launchplane_preview_records) c
      LEFT JOIN owner o ON o.context = c.context
     WHERE ($1::text = '' OR o.product = $1) AND ($2::text = '' OR c.context = $2)),
inventory AS (
    SELECT 1 AS source, s.product, i.context, i.instance, 'stable' AS kind, i.artifact_id, i.source_git_ref,
           coalesce(i.payload -> 'runtime_identity' ->> 'image_reference', '') AS identity_image, NULL::text AS second_image,
           'stable-inventory' AS reason, 'environment_inventory' AS record_type, i.context || '-' || i.instance AS record_id,
           '' AS own_repository, '' AS own_digest, '' AS preview_id, '' AS generation_id, '' AS anchor_repo, 0 AS anchor_pr_number,
           true AS must_name, 0 AS place
      FROM launchplane_inventory i JOIN scoped s ON s.context = i.context),
tuples AS (
    SELECT 2, s.product, t.context, t.channel, 'stable', t.artifact_id,
           coalesce((SELECT r.value FROM json_each_text(t.payload::json -> 'repo_shas') WITH ORDINALITY AS r(key, value, n)
                      ORDER BY r.n LIMIT 1), ''),
           '', NULL, 'release-tuple', 'release_tuple', t.tuple_id, coalesce(t.payload ->> 'image_repository', ''),
           coalesce(t.payload ->> 'image_digest', ''), '', '', '', 0, true, 0
      FROM launchplane_release_tuples t JOIN scoped s ON s.context = t.context),
live_previews AS (
    SELECT p.preview_id, p.context, p.anchor_repo, p.anchor_pr_number, p.payload, s.product
      FROM launchplane_preview_records p JOIN scoped s ON s.context = p.context
     WHERE s.has_previews AND p.state IN ('pending', 'active', 'failed', 'paused', 'teardown_pending')),
pointed AS (
    SELECT g.*, p.product, p.context, p.anchor_repo, p.anchor_pr_number
      FROM live_previews p JOIN launchplane_preview_generations g ON g.preview_id = p.preview_id
     WHERE g.generation_id IN (p.payload ->> 'serving_generation_id', p.payload ->> 'active_generation_id',
                               p.payload ->> 'latest_generation_id')
       AND g.state IN ('resolving', 'building', 'deploying', 'verifying', 'ready')),
chosen AS (
    SELECT * FROM pointed
    UNION ALL
    SELECT g.*, p.product, p.context, p.anchor_repo, p.anchor_pr_number
      FROM live_previews p JOIN launchplane_preview_generations g ON g.preview_id = p.preview_id
     WHERE g.state = 'ready' AND NOT EXISTS (SELECT 1 FROM pointed o WHERE o.preview_id = p.preview_id)),
generations AS (
    SELECT 3, c.product, c.context, '', 'preview', c.artifact_id,
           coalesce(c.payload -> 'anchor_summary' ->> 'head_sha', ''),
           coalesce(c.payload -> 'runtime_identity' ->> 'image_reference', ''), NULL, 'active-preview-generation',
           'preview_generation', c.generation_id, '', '', c.preview_id, c.generation_id, c.anchor_repo, c.anchor_pr_number,
           c.state NOT IN ('resolving', 'building'), -c.sequence
      FROM chosen c),
feedback AS (
    SELECT 4, p.product, p.context, '', 'preview', '', '',
           coalesce(f.payload ->> 'immutable_image_reference', ''), coalesce(f.payload ->> 'refresh_image_reference', ''),
           'active-preview-feedback', 'preview_pr_feedback', f.feedback_id, '', '', p.preview_id, '', p.anchor_repo,
           p.anchor_pr_number, true, 0
      FROM live_previews p
      JOIN LATERAL (SELECT f.feedback_id, f.payload FROM launchplane_preview_pr_feedback f
                     WHERE f.context = p.context AND f.anchor_repo = p.anchor_repo
                       AND f.anchor_pr_number = p.anchor_pr_number AND f.status = 'ready'
                     ORDER BY f.requested_at COLLATE "C" DESC, f.feedback_id COLLATE "C" DESC LIMIT 1) f ON true),
live AS (
    SELECT * FROM inventory UNION ALL SELECT * FROM tuples UNION ALL SELECT * FROM generations UNION ALL SELECT * FROM feedback),
known AS (
    SELECT l.*, m.artifact_id IS NOT NULL AS has_manifest,
           coalesce(m.image_repository, l.own_repository) AS image_repository, coalesce(m.image_digest, l.own_digest) AS image_digest,
           ARRAY(SELECT DISTINCT image COLLATE "C" FROM (
                     SELECT coalesce(m.image_repository, l.own_repository) || '@' || coalesce(m.image_digest, l.own_digest) AS image
                      WHERE coalesce(m.image_repository, l.own_repository) <> '' AND coalesce(m.image_digest, l.own_digest) <> ''
                     UNION ALL
                     SELECT m.image_repository || ':' || trim(tag)
                       FROM json_array_elements_text(coalesce(m.payload::json -> 'image' -> 'tags', '[]')) AS tags(tag)
                      WHERE trim(tag) <> ''
                     UNION ALL SELECT trim(l.identity_image)
                     UNION ALL SELECT trim(l.second_image)
                     UNION ALL SELECT trim(l.artifact_id) WHERE l.artifact_id LIKE '%@sha256:%') AS images
                  WHERE image <> '' ORDER BY 1) AS images
      FROM live l LEFT JOIN launchplane_artifact_manifests m ON m.artifact_id = l.artifact_id AND l.artifact_id <> ''),
entries AS (
    SELECT * FROM known WHERE trim(artifact_id) <> '' OR cardinality(images) > 0),
digests AS (
    SELECT trim(image_digest) AS digest FROM entries WHERE trim(image_digest) <> ''
    UNION
    SELECT split_part(image, '@', 2) FROM entries, unnest(images) AS image WHERE image LIKE '%@%'),
warnings AS (
    SELECT 'artifact ' || artifact_id || ' (' || record_type || ' ' || record_id || ') has no stored manifest' AS text
      FROM entries WHERE trim(artifact_id) <> '' AND NOT has_manifest
    UNION
    SELECT record_type || ' ' || record_id || ' names neither an artifact nor an image'
      FROM known WHERE must_name AND trim(artifact_id) = '' AND cardinality(images) = 0
    UNION
    SELECT 'product ' || $1 || ' has no profile: nothing is known of what it needs'
     WHERE $1::text <> '' AND NOT EXISTS (SELECT 1 FROM launchplane_product_profiles WHERE product = $1))
SELECT json_build_object(
    'schema_version', 1, 'product', $1::text, 'context', $2::text,
    'entries', coalesce((SELECT json_agg(json_build_object(
        'schema_version', 1, 'product', product, 'context', context, 'instance', instance, 'environment_kind', kind,
        'artifact_id', trim(artifact_id), 'image_references', to_json(images), 'source_git_ref', source_git_ref,
        'reason', reason, 'source_record_type', record_type, 'source_record_id', record_id,
        'image_repository', image_repository, 'image_digest', image_digest, 'preview_id', preview_id,
        'preview_generation_id', generation_id, 'anchor_repo', anchor_repo, 'anchor_pr_number', anchor_pr_number)
        ORDER BY source, context COLLATE "C", instance COLLATE "C", preview_id COLLATE "C", place, record_id COLLATE "C")
        FROM entries), '[]'),
    'artifact_ids', to_json(ARRAY(SELECT DISTINCT trim(artifact_id) COLLATE "C" FROM entries WHERE trim(artifact_id) <> '' ORDER BY 1)),
    'image_references', to_json(ARRAY(SELECT DISTINCT image COLLATE "C" FROM entries, unnest(images) AS image ORDER BY 1)),
    'image_digests', to_json(ARRAY(SELECT DISTINCT digest COLLATE "C" FROM digests WHERE digest <> '' ORDER BY 1)),
    'warnings', to_json(ARRAY(SELECT text COLLATE "C" FROM warnings ORDER BY 1)));
