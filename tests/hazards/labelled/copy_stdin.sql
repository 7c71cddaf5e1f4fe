copy guests from stdin;
