update settings set value = 'on' where key = 'newsletter';
