-- Data to practise on: invented people, plausible numbers, the same in every estate.
insert into public.accommodations (name, kind, guests, price_cents, description, active)
select prefix || ' ' || suffix,
       (array['room', 'suite', 'bungalow', 'apartment'])[1 + (p + s) % 4]::public.accommodation_kind,
       2 + (p * s) % 5, 8900 + 1300 * p + 700 * s, 'Breakfast included. Check-in from 15:00.', (p * 6 + s) % 11 <> 0
  from unnest(array['Sea', 'Garden', 'Palm', 'Sunset', 'Coral', 'Breeze']) with ordinality as a (prefix, p),
       unnest(array['Room', 'Suite', 'Studio', 'Loft', 'Villa', 'Cabin']) with ordinality as b (suffix, s);

insert into public.guests (full_name, email, phone, language)
select first || ' ' || last, lower(first || '.' || last) || '@example.org',
       '+57300' || lpad((f * 100 + l)::text, 7, '0'), (array['es', 'en', 'de', 'pt'])[1 + (f + l) % 4]
  from unnest(array['Ana', 'Luis', 'Marta', 'Jonas', 'Clara', 'Pedro', 'Ines', 'Felix', 'Rosa', 'Tom', 'Lucia', 'Hugo'])
         with ordinality as a (first, f),
       unnest(array['Garcia', 'Rojas', 'Weber', 'Costa', 'Moreno', 'Silva', 'Keller', 'Navarro', 'Duarte', 'Lang'])
         with ordinality as b (last, l);

insert into public.staff (full_name, email, role)
values ('Carmen Ortiz', 'carmen@example.org', 'owner'), ('Diego Pardo', 'diego@example.org', 'manager'),
       ('Elsa Brandt', 'elsa@example.org', 'reception'), ('Nadia Ruiz', 'nadia@example.org', 'housekeeping');

insert into public.bookings (accommodation_id, guest_id, check_in, check_out, status, total_cents)
select a.id, g.id, current_date + (n % 120) - 40, current_date + (n % 120) - 40 + 1 + n % 6,
       (array['pending', 'confirmed', 'confirmed', 'cancelled', 'completed'])[1 + n % 5]::public.booking_status,
       (1 + n % 6) * a.price_cents
  from generate_series(1, 400) as n
  join (select id, price_cents, row_number() over (order by name) as r from public.accommodations) a on a.r = 1 + n % 36
  join (select id, row_number() over (order by full_name) as r from public.guests) g on g.r = 1 + n % 120;

insert into public.chat_conversations (guest_id, channel, status, assigned_to, created_at)
select g.id, (array['web', 'whatsapp'])[1 + (g.r % 2)::int], (array['open', 'waiting', 'closed', 'closed'])[1 + (g.r % 4)::int],
       s.id, now() - g.r * interval '3 hours'
  from (select id, row_number() over (order by full_name) as r from public.guests limit 60) g
  join (select id, row_number() over (order by email) as r from public.staff) s on s.r = 1 + g.r % 4;

insert into public.chat_messages (conversation_id, author, body, sent_at)
select c.id, (array['guest', 'assistant', 'staff'])[1 + n % 3],
       (array['Do you have a room for Friday?', 'Yes: the Palm Suite is free from Friday to Sunday.',
              'I have put it aside for you.', 'Is breakfast included?', 'It is, from 7 to 10:30.'])[1 + n % 5],
       c.created_at + n * interval '4 minutes'
  from public.chat_conversations c, generate_series(1, 8) as n;
