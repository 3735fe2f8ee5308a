-- The peer's tables: one set for all tenants, kept apart by row-level security. The service's role owns none of them, so
-- the policies bind it; whoever it works for is said for each transaction by set_config('app.tenant', …, true).
create role service login;

create table tenants (
  id text collate "C" primary key,
  slug text not null unique,
  status text not null default 'active',
  requests_per_second integer not null,
  burst integer not null
);

create table api_keys (
  hash bytea primary key,
  id text not null unique,
  tenant_id text collate "C" not null references tenants,
  scopes text[] not null,
  expires_at timestamptz,
  revoked_at timestamptz
);

-- The quota is the check: a change that would break it fails whole.
create table usage (
  tenant_id text collate "C" primary key,
  projects integer not null default 0,
  max_projects integer not null,
  changes bigint not null default 0,
  constraint projects_quota check (projects <= max_projects)
) with (fillfactor = 50);

create table projects (
  tenant_id text collate "C" not null,
  id text collate "C" not null,
  name text not null,
  description text not null,
  archived_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  version integer not null,
  primary key (tenant_id, id)
);

create table audit_entries (
  tenant_id text collate "C" not null,
  id bigint generated always as identity,
  at timestamptz not null,
  actor text not null,
  action text not null,
  target text not null,
  request_id text not null,
  primary key (tenant_id, id)
);

create table events (
  tenant_id text collate "C" not null,
  id bigint generated always as identity,
  at timestamptz not null,
  type text not null,
  subject text not null,
  primary key (tenant_id, id)
);

create table idempotency (
  tenant_id text collate "C" not null,
  principal text not null,
  route text not null,
  key text not null,
  project_id text not null,
  expires_at timestamptz not null,
  primary key (tenant_id, principal, route, key)
);
create index on idempotency (expires_at);

do $$
declare name text;
begin
  foreach name in array array['usage', 'projects', 'audit_entries', 'events', 'idempotency'] loop
    execute format('alter table %I enable row level security', name);
    execute format('create policy tenant on %I using (tenant_id = current_setting(''app.tenant''))', name);
    execute format('grant select, insert, update, delete on %I to service', name);
  end loop;
end $$;

-- Who asks, from the hash of the key; from here on the transaction is that tenant's. The one way to a tenant: the service
-- reads neither keys nor tenants itself.
create function enter(key_hash bytea)
  returns table (tenant text, key_id text, scopes text[], requests_per_second integer, burst integer)
  language sql security definer set search_path = public
as $$
  select set_config('app.tenant', t.id, true), k.id, k.scopes, t.requests_per_second, t.burst
  from api_keys k join tenants t on t.id = k.tenant_id
  where k.hash = key_hash and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
    and t.status = 'active'
$$;
