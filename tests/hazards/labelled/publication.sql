alter publication supabase_realtime add table public.chat_messages;
