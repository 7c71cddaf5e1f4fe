alter type booking_status add value if not exists 'no_show';
