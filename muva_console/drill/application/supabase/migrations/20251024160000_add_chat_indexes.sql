create index chat_messages_conversation_idx on public.chat_messages (conversation_id, sent_at desc);
create index chat_conversations_open_idx on public.chat_conversations (status) where status <> 'closed';
