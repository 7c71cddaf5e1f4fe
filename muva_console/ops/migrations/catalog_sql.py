"""What `catalog.py` asks of a database. Each begins with MINE; $1: the names of schemas to leave out."""

from __future__ import annotations

# Of partitions only the roots: how many there are is a matter of time, not of the schema. NOT NULL is a
# constraint of its own since PostgreSQL 18 ('n'); it stands with the column here.
MINE = """
WITH spaces AS MATERIALIZED (
  SELECT oid, nspname FROM pg_catalog.pg_namespace
   WHERE nspname !~ '^pg_' AND NOT nspname = ANY ($1::text[])
), relations AS MATERIALIZED (
  SELECT c.oid, s.nspname || '.' || c.relname AS name, c.relkind, c.relrowsecurity, c.relforcerowsecurity
    FROM pg_catalog.pg_class c JOIN spaces s ON s.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
                      AND d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid)
)
"""
SCHEMA = """
SELECT CASE WHEN relkind IN ('r', 'p', 'f') THEN 'table' ELSE 'view' END, name, '',
       CASE WHEN relkind IN ('r', 'p', 'f')
            THEN 'row level security ' || CASE WHEN relforcerowsecurity THEN 'forced'
                                               WHEN relrowsecurity THEN 'on' ELSE 'off' END
            ELSE pg_catalog.md5(pg_catalog.pg_get_viewdef(oid)) END
  FROM relations
UNION ALL
SELECT 'column', r.name, a.attname::text,
       pg_catalog.format_type(a.atttypid, a.atttypmod)
       || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
       || CASE WHEN a.attidentity <> '' THEN ' identity' ELSE '' END
       || CASE WHEN a.attgenerated <> '' THEN ' generated' ELSE '' END
       || coalesce(' default ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid), '')
  FROM relations r
  JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
UNION ALL
SELECT 'index', r.name, c.relname::text,
       pg_catalog.pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END
  FROM relations r
  JOIN pg_catalog.pg_index i ON i.indrelid = r.oid
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
UNION ALL
SELECT 'constraint', r.name, k.conname::text, pg_catalog.pg_get_constraintdef(k.oid)
  FROM relations r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype NOT IN ('n', 't')
UNION ALL
SELECT 'policy', r.name, p.polname::text,
       pg_catalog.concat_ws(' ', p.polcmd, p.polpermissive,
         (SELECT pg_catalog.string_agg(o.rolname, ',' ORDER BY o.rolname) FROM pg_catalog.pg_roles o
           WHERE o.oid = ANY (p.polroles)),
         pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))
  FROM relations r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT 'trigger', r.name, t.tgname::text, pg_catalog.pg_get_triggerdef(t.oid)
  FROM relations r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
UNION ALL
SELECT 'function', s.nspname || '.' || p.proname,
       '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
       CASE WHEN p.prokind IN ('f', 'p') THEN pg_catalog.md5(pg_catalog.pg_get_functiondef(p.oid))
            ELSE p.prokind::text END
  FROM pg_catalog.pg_proc p JOIN spaces s ON s.oid = p.pronamespace
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
                    AND d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid)
UNION ALL
SELECT 'type', s.nspname || '.' || t.typname, '',
       CASE t.typtype WHEN 'e'
         THEN (SELECT pg_catalog.string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder)
                 FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)
         ELSE pg_catalog.format_type(t.typbasetype, t.typtypmod) END
  FROM pg_catalog.pg_type t JOIN spaces s ON s.oid = t.typnamespace
 WHERE t.typtype IN ('e', 'd')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
                    AND d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid)
"""
# Of a partitioned table the sum of its leaves. -1 stands for "never analysed" (since PostgreSQL 14; before
# it is 0 with no page read).
SIZES = """
SELECT r.name,
       pg_catalog.min(CASE WHEN l.reltuples = 0 AND l.relpages = 0 THEN -1 ELSE l.reltuples END)::float8,
       pg_catalog.sum(CASE WHEN l.reltuples < 0 THEN 0 ELSE l.reltuples END)::float8,
       pg_catalog.sum(pg_catalog.pg_stat_get_live_tuples(l.oid))::float8
  FROM relations r
  JOIN LATERAL (SELECT t.relid FROM pg_catalog.pg_partition_tree(r.oid) t WHERE t.isleaf
                UNION SELECT r.oid WHERE r.relkind = 'r') p ON true
  JOIN pg_catalog.pg_class l ON l.oid = p.relid
 WHERE r.relkind IN ('r', 'p')
 GROUP BY r.name
"""
BYTES = """
SELECT r.name, pg_catalog.sum(pg_catalog.pg_total_relation_size(p.relid))::float8
  FROM relations r
  JOIN LATERAL (SELECT t.relid FROM pg_catalog.pg_partition_tree(r.oid) t WHERE t.isleaf
                UNION SELECT r.oid WHERE r.relkind = 'r') p ON true
 WHERE r.relkind IN ('r', 'p')
 GROUP BY r.name
"""
