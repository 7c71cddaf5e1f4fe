-- Conversations with guests, from the website and WhatsApp.
create table public.chat_conversations (
  id uuid primary key default gen_random_uuid(),
  guest_id uuid references public.guests (id) on delete set null,
  channel text not null check (channel in ('web', 'whatsapp')),
  status text not null default 'open' check (status in ('open', 'waiting', 'closed')),
  assigned_to uuid references public.staff (id) on delete set null,
  created_at timestamptz not null default now()
);

create table public.chat_messages (
  id bigint generated always as identity primary key,
  conversation_id uuid not null references public.chat_conversations (id) on delete cascade,
  author text not null check (author in ('guest', 'assistant', 'staff')),
  body text not null,
  sent_at timestamptz not null default now()
);
